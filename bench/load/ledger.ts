// What the tools themselves count, bucket by bucket, and whether that is exactly what the limits allow. It knows nothing of how
// a decision is made, and never asks the limiter.

import type { LimitName, Quotas } from "./policy.ts";
import type { Call } from "./trace.ts";

/** The calls that one limit counts together. */
export interface Bucket {
  readonly limit: LimitName;
  readonly name: string;
  readonly quota: number;
  /** The bucket of the next limit, in which every call of this one counts, too. */
  readonly within: Bucket | null;
  readonly inner: Bucket[];
  /** Of the innermost buckets: calls that were asked for, each once. */
  offered: number;
  /** Calls that ran: the tool's own count. */
  marks: number;
  /** Calls that were denied by this bucket. */
  denials: number;
}

/** An innermost bucket and a call of it: what there is to be known of each bucket that the call is in. */
export interface Place {
  readonly call: Call;
  readonly bucket: Bucket;
}

export interface Judgement {
  readonly buckets: number;
  /** Buckets whose number is the same whatever the order of calls. Of the others only the sum is, which their tenant has. */
  readonly determined: number;
  readonly sessions: number;
  readonly offered: number;
  readonly admitted: number;
  /** What the limits allow of the calls that were offered. */
  readonly allowed: number;
  /** What the store counts, by tenant. */
  readonly stored: number;
  readonly deniedBy: Readonly<Record<LimitName, number>>;
  /** What is not as it must be, the first few in words. */
  readonly faults: readonly string[];
  readonly faultCount: number;
}

const FAULTS_TOLD = 5;

/** The tools' counts. */
export class Ledger {
  readonly #quotas: Quotas;
  readonly #buckets = new Map<string, Bucket>();
  readonly #places = new Map<Bucket, Place>();
  readonly #sessions = new Set<string>();

  constructor(quotas: Quotas) {
    this.#quotas = quotas;
  }

  /** One of each innermost bucket. */
  get places(): Iterable<Place> {
    return this.#places.values();
  }

  /** A call is asked for, whatever becomes of it and however often it has to be sent. */
  offer(call: Call): Bucket {
    const [tenant, tool, turn] = namesOf(call);
    const bucket = this.#bucket("tool-per-turn", turn, () =>
      this.#bucket("tool-per-session", tool, () => this.#bucket("tenant-budget", tenant, () => null)),
    );
    if (bucket.offered === 0) this.#places.set(bucket, { call, bucket });
    bucket.offered++;
    this.#sessions.add(call.session);
    return bucket;
  }

  /** The tool runs, and counts itself. */
  run(bucket: Bucket): void {
    for (let each: Bucket | null = bucket; each !== null; each = each.within) each.marks++;
  }

  deny(bucket: Bucket, by: readonly string[]): void {
    for (let each: Bucket | null = bucket; each !== null; each = each.within)
      if (by.includes(each.limit)) each.denials++;
  }

  /**
   * Compares what ran with what the limits allow, and with what the store has counted.
   *
   * @param used what the store says of a bucket
   */
  judge(used: ReadonlyMap<Bucket, number>): Judgement {
    const faults: string[] = [];
    const buckets = [...this.#buckets.values()];
    for (const bucket of buckets) faults.push(...faultsOf(bucket, used.get(bucket)));
    const tenants = buckets.filter(({ within }) => within === null);
    const sum = (of: (bucket: Bucket) => number, among = buckets) => among.reduce((all, each) => all + of(each), 0);
    const denialsOf = (name: LimitName) =>
      sum(
        ({ denials }) => denials,
        buckets.filter(({ limit }) => limit === name),
      );
    return {
      buckets: buckets.length,
      determined: buckets.filter(isDetermined).length,
      sessions: this.#sessions.size,
      offered: sum(({ offered }) => offered),
      admitted: sum(({ marks }) => marks, tenants),
      allowed: sum(allowedOf, tenants),
      stored: sum((bucket) => used.get(bucket) ?? 0, tenants),
      deniedBy: {
        "tool-per-turn": denialsOf("tool-per-turn"),
        "tool-per-session": denialsOf("tool-per-session"),
        "tenant-budget": denialsOf("tenant-budget"),
      },
      faults: faults.slice(0, FAULTS_TOLD),
      faultCount: faults.length,
    };
  }

  #bucket(limit: LimitName, name: string, withinOf: () => Bucket | null): Bucket {
    const known = this.#buckets.get(`${limit} ${name}`);
    if (known !== undefined) return known;
    const within = withinOf();
    const counts = { offered: 0, marks: 0, denials: 0 };
    const bucket: Bucket = { limit, name, quota: this.#quotas[limit], within, inner: [], ...counts };
    within?.inner.push(bucket);
    this.#buckets.set(`${limit} ${name}`, bucket);
    return bucket;
  }
}

/** The names of a call's buckets, the outermost first. */
function namesOf({ tenant, session, turn, tool }: Call): readonly [string, string, string] {
  return [tenant, JSON.stringify([session, tool]), JSON.stringify([session, turn, tool])];
}

/** Calls that want to pass a bucket, after what its inner ones deny. */
const wantedOf = (bucket: Bucket): number =>
  bucket.inner.length === 0 ? bucket.offered : bucket.inner.reduce((sum, inner) => sum + allowedOf(inner), 0);

/** How many of the offered calls can pass, in whatever order they come. */
const allowedOf = (bucket: Bucket): number => Math.min(bucket.quota, wantedOf(bucket));

/** Whether no outer bucket denies a call of this one: else it depends on the order which of its inner ones have how many. */
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
