// What the tools themselves count, bucket by bucket, and whether it is exactly what the limits allow. It does not depend on
// how a decision is made, and never asks the limiter.

import type { LimitName, Quotas } from "./policy.ts";
import type { Call } from "./trace.ts";

/** The calls that one limit counts together. */
export interface Bucket {
  readonly limit: LimitName;
  readonly name: string;
  readonly quota: number;
  /** The bucket of the next limit. Every call of this bucket counts there, too. */
  readonly within: Bucket | null;
  readonly inner: Bucket[];
  /** Of innermost buckets: calls that were offered, each once. */
  offered: number;
  /** Calls that ran: the tool's own count. */
  marks: number;
  /** Calls that this bucket denied. */
  denials: number;
}

export interface Judgement {
  readonly buckets: number;
  /** Buckets whose count does not depend on the order of calls. Of the others only the sum of their tenant does not. */
  readonly determined: number;
  readonly sessions: number;
  readonly offered: number;
  readonly admitted: number;
  /** What the limits allow of the offered calls. */
  readonly allowed: number;
  /** What the store counts, by tenant. */
  readonly stored: number;
  readonly deniedBy: Readonly<Record<LimitName, number>>;
  /** The first few faults, in words. */
  readonly faults: readonly string[];
  readonly faultCount: number;
}

const MAX_FAULTS = 5;

/** The tools' counts. */
export class Ledger {
  /** The innermost buckets, with a call of each. */
  readonly calls = new Map<Bucket, Call>();
  readonly #quotas: Quotas;
  readonly #buckets = new Map<string, Bucket>();

  constructor(quotas: Quotas) {
    this.#quotas = quotas;
  }

  /** A call is asked for, once, however often it has to be sent. */
  offer(call: Call): Bucket {
    const { tenant, session, turn, tool } = call;
    const ofTenant = this.#bucket("tenant-budget", tenant, null);
    const ofTool = this.#bucket("tool-per-session", JSON.stringify([session, tool]), ofTenant);
    const bucket = this.#bucket("tool-per-turn", JSON.stringify([session, turn, tool]), ofTool);
    this.calls.set(bucket, call);
    bucket.offered++;
    return bucket;
  }

  /** The tool runs, and counts itself. */
  run(bucket: Bucket): void {
    for (let each: Bucket | null = bucket; each !== null; each = each.within) each.marks++;
  }

  deny(bucket: Bucket, limits: readonly string[]): void {
    for (let each: Bucket | null = bucket; each !== null; each = each.within)
      if (limits.includes(each.limit)) each.denials++;
  }

  /**
   * Compares what ran with what the limits allow, and with the store's counts.
   *
   * @param used the store's count of each bucket
   */
  judge(used: ReadonlyMap<Bucket, number>): Judgement {
    const buckets = [...this.#buckets.values()];
    const faults = buckets.flatMap((bucket) => faultsOf(bucket, used.get(bucket)));
    const sum = (limit: LimitName, of: (bucket: Bucket) => number) =>
      buckets.reduce((all, bucket) => (bucket.limit === limit ? all + of(bucket) : all), 0);
    return {
      buckets: buckets.length,
      determined: buckets.filter(isDetermined).length,
      sessions: new Set([...this.calls.values()].map(({ session }) => session)).size,
      offered: sum("tool-per-turn", ({ offered }) => offered),
      admitted: sum("tenant-budget", ({ marks }) => marks),
      allowed: sum("tenant-budget", allowedOf),
      stored: sum("tenant-budget", (bucket) => used.get(bucket) ?? 0),
      deniedBy: {
        "tool-per-turn": sum("tool-per-turn", ({ denials }) => denials),
        "tool-per-session": sum("tool-per-session", ({ denials }) => denials),
        "tenant-budget": sum("tenant-budget", ({ denials }) => denials),
      },
      faults: faults.slice(0, MAX_FAULTS),
      faultCount: faults.length,
    };
  }

  #bucket(limit: LimitName, name: string, within: Bucket | null): Bucket {
    const known = this.#buckets.get(`${limit} ${name}`);
    if (known !== undefined) return known;
    const counts = { offered: 0, marks: 0, denials: 0 };
    const bucket: Bucket = { limit, name, quota: this.#quotas[limit], within, inner: [], ...counts };
    within?.inner.push(bucket);
    this.#buckets.set(`${limit} ${name}`, bucket);
    return bucket;
  }
}

/** Calls that reach a bucket, after its inner buckets have denied some. */
const wantedOf = (bucket: Bucket): number =>
  bucket.inner.length === 0 ? bucket.offered : bucket.inner.reduce((sum, inner) => sum + allowedOf(inner), 0);

/** How many of the offered calls can pass, in any order. */
const allowedOf = (bucket: Bucket): number => Math.min(bucket.quota, wantedOf(bucket));

/** Whether no outer bucket denies a call of this one. Otherwise the order decides which inner buckets have how many. */
function isDetermined({ within }: Bucket): boolean {
  return within === null || (wantedOf(within) <= within.quota && isDetermined(within));
}

function faultsOf(bucket: Bucket, used: number | undefined): string[] {
  const { limit, name, quota, marks, denials } = bucket;
  const allowed = allowedOf(bucket);
  const faults: string[] = [];
  if (marks > allowed) faults.push(`${marks} ran, ${allowed} may`);
  if (marks < allowed && isDetermined(bucket)) faults.push(`${marks} ran, ${allowed} had to`);
  if (used !== marks) faults.push(`${marks} ran, the store counts ${used}`);
  if (denials > 0 && marks !== quota) faults.push(`it denied ${denials} calls with ${marks} of ${quota} used`);
  return faults.map((fault) => `${limit} ${name}: ${fault}`);
}
