// Where calls are while they have not ended: open under their ids, detached from a stream, or running as tasks; and what is being
// settled. What ends a call is not known here.

import { within } from "../../deadlines.ts";
import type { Dimensions } from "../../kernel/call.ts";
import type { GatewayLog, CallsConfig } from "../config/config.ts";
import type { Seal } from "../contract.ts";
import { Detached } from "./detached.ts";
import { Bounded, callKey, type LiveCall } from "./live.ts";
import { Tasks } from "./tasks.ts";

/** How long a call waits until earlier ones of its client are settled. */
const SETTLE_FIRST_MS = 250;

export class CallRoom {
  readonly open: Bounded<LiveCall>;
  readonly tasks: Tasks;
  readonly detachedCalls = new Detached();
  readonly seal: Seal;
  readonly notices: CallsConfig["notices"];
  readonly log: GatewayLog;
  readonly #settling = new Set<Promise<void>>();
  /** What the next call of a client waits for. */
  readonly #before = new Map<string, Promise<unknown>>();

  constructor(seal: Seal, notices: CallsConfig["notices"], log: GatewayLog, maxCalls: number) {
    this.open = new Bounded(maxCalls);
    this.tasks = new Tasks(maxCalls);
    this.seal = seal;
    this.notices = notices;
    this.log = log;
  }

  get size(): number {
    return this.open.size + this.tasks.size;
  }

  enter(call: LiveCall): void {
    this.open.add(keyOf(call), call);
  }

  /** It has ended, or waits for its next round. */
  leave(call: LiveCall): void {
    this.open.remove(keyOf(call), call);
    this.detachedCalls.remove(call);
    this.tasks.remove(call);
  }

  detach(call: LiveCall): void {
    this.detachedCalls.add(call);
  }

  /** The call goes on as a task. Returns `false` where there is no room for it, so that it ends now. */
  followTask(call: LiveCall, taskId: string, endsAfterMs: number): boolean {
    if (!this.tasks.add(call, taskId, endsAfterMs)) {
      this.log.warn(
        { server: call.origin.server },
        "too many tasks are followed, and the slot of one more is free at once",
      );
      return false;
    }
    this.open.remove(keyOf(call), call);
    this.detachedCalls.remove(call);
    return true;
  }

  /** Remembers work until it is done. What it throws is logged. */
  track(work: Promise<unknown>): Promise<void> {
    const settling = work.then(
      () => {},
      (error: unknown) => this.log.error({ error: nameOf(error) }, "a hold could not be ended or extended"),
    );
    this.#settling.add(settling);
    return settling.finally(() => this.#settling.delete(settling));
  }

  /** Lets the next call of a client wait for it. */
  settleFirst(client: string, settling: Promise<void>): void {
    const earlier = this.#before.get(client);
    const all: Promise<unknown> = earlier === undefined ? settling : Promise.all([earlier, settling]);
    this.#before.set(client, all);
    void all.then(() => {
      if (this.#before.get(client) === all) this.#before.delete(client);
    });
  }

  /** Waits a short time until earlier calls of a client are settled: their slots are free then. */
  async settled(client: string): Promise<void> {
    const settling = this.#before.get(client);
    if (settling !== undefined) await within(SETTLE_FIRST_MS, settling).catch(() => {});
  }

  /** Ends all calls, and waits until they are settled. */
  async close(): Promise<void> {
    const calls = [...this.open.values(), ...this.tasks.calls()];
    await Promise.all(calls.map((call) => call.end("onError", null)));
    while (this.#settling.size > 0) await Promise.all(this.#settling);
  }
}

/** Who knows that a call has ended, and may make the next one at once. */
export function clientOf({ user, session }: Dimensions): string {
  return JSON.stringify([user, session]);
}

function keyOf({ origin, rawId }: LiveCall): string {
  return callKey(origin, rawId);
}

/** What may be logged of an error: a message could have a value of a call in it. */
export function nameOf(error: unknown): string {
  const { name, code } = (error ?? {}) as { readonly name?: unknown; readonly code?: unknown };
  return [name, code].filter((part) => typeof part === "string").join(" ") || "an unknown error";
}
