// The accounts of an instance: those buckets from which it has borrowed, and what is on its way to them or back. A bounded map.

import type { Step, StepReply, StoreReply } from "../../kernel/request.ts";
import { Account, type Returned } from "./account.ts";

/** Most buckets that an instance borrows from; calls on others ask the store each time. */
const MAX_ACCOUNTS = 10_000;

export class Accounts {
  /** By bucket; several where callers have other quotas in one bucket, or a reload changed the limit. */
  readonly #accounts = new Map<string, Account[]>();
  readonly #inFlight = new Set<Promise<unknown>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  all(): Account[] {
    return [...this.#accounts.values()].flat();
  }

  of(bucket: string): readonly Account[] {
    return this.#accounts.get(bucket) ?? [];
  }

  /** Units of a bucket that are on their way back to the store. */
  returning(bucket: string): number {
    return this.of(bucket).reduce((sum, { returning }) => sum + returning, 0);
  }

  /** The account that lends to a step. */
  for(step: Step): Account | undefined {
    return this.#accounts.get(step.bucket)?.find((account) => account.isFor(step));
  }

  /** Opens an account where there is room for one. */
  open(step: Step, found: StepReply, reply: StoreReply, nowMs: number): Account | undefined {
    if (this.#size >= MAX_ACCOUNTS) return undefined;
    const account = new Account(step);
    account.sees(found, reply, nowMs);
    this.#size++;
    this.#accounts.set(step.bucket, [...this.of(step.bucket), account]);
    return account;
  }

  /** Forgets the accounts of a bucket that was reset. Returns their loans: a reset has removed the borrowed units, too. */
  reset(bucket: string): Returned[] {
    const accounts = this.of(bucket);
    this.#accounts.delete(bucket);
    this.#size -= accounts.length;
    return accounts.flatMap((account) => {
      account.isReset = true;
      const removed = account.everything();
      return removed === null ? [] : [{ ...removed, units: 0 }];
    });
  }

  /** Takes what calls do not need from accounts, and forgets accounts without calls. Returns it, and of which it is. */
  sweep(nowMs: number): { readonly returned: Returned[]; readonly from: Account[] } {
    const returned: Returned[] = [];
    const from: Account[] = [];
    for (const [bucket, accounts] of this.#accounts) {
      const kept = accounts.filter((account) => {
        if (account.isBusy(nowMs)) return true;
        // Before `surplus`, which begins a new tick.
        if (account.isIdle) return false;
        const surplus = account.surplus(nowMs);
        if (surplus !== null) {
          returned.push(surplus);
          from.push(account);
        }
        return true;
      });
      if (kept.length === accounts.length) continue;
      this.#size -= accounts.length - kept.length;
      if (kept.length === 0) this.#accounts.delete(bucket);
      else this.#accounts.set(bucket, kept);
    }
    return { returned, from };
  }

  /** Units are on their way to accounts, or back, until some work has ended. */
  occupy(accounts: readonly Account[], work: Promise<unknown>, nowMs: number): Promise<void> {
    const ended = work
      .catch(() => {})
      .then(() => {
        for (const account of accounts) account.freed(ended);
        this.#inFlight.delete(ended);
      });
    for (const account of accounts) account.occupy(ended, nowMs);
    this.#inFlight.add(ended);
    return ended;
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#inFlight);
  }
}
