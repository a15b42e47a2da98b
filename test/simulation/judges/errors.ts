// Calls fail only for reasons that are known. With failover, an unreachable store costs no call its answer.

import type { Failure } from "../log.ts";
import type { Failed, Oracle } from "../oracle.ts";
import { LAST_LOOK_MS } from "../run.ts";
import type { FaultType } from "../schedule.ts";

/** What programs may do wrong here: two operators use one id, a hold is ended twice or too late. */
const MISUSE: ReadonlySet<string> = new Set(["grant-exists", "unknown-hold", "already-settled", "limiter-closed"]);
/** What a fault makes calls fail with, also with failover. */
const BY_FAULT: Readonly<Record<string, readonly FaultType[]>> = {
  unauthorized: ["refuse"],
  "damaged-bucket": ["damage"],
  closed: ["close"],
};
/** Outages of the store. Calls fail with them without failover, or where only the store can do what was asked. */
const OUTAGES: ReadonlySet<string> = new Set(["unavailable", "loading", "read-only", "out-of-memory"]);
const ONLY_STORE: ReadonlySet<string> = new Set(["usage", "reset", "grant", "revoke"]);

export function* errors(oracle: Oracle): Generator<string> {
  const { schedule, log } = oracle.run;
  const types = new Set(schedule.faults.map(({ type }) => type));
  for (const entry of log.of("failed")) {
    const { planned, error, on, askedAtMs } = entry;
    const hasFailover = schedule.settings.hasFailover && !ONLY_STORE.has(planned.verb);
    const isCalm = planned.id < 0 && askedAtMs >= schedule.calmAtMs + LAST_LOOK_MS;
    if (oracle.hasNoService && oracle.isClient(on)) continue;
    // A burst alone may take longer than the deadline: then the instance has said that it is away.
    const hasReason = types.size > 0 || oracle.isAwayDuring(entry) || error.name !== "StoreError";
    if (!isCalm && hasReason && isKnown(error, types, hasFailover) && !isOfOther(oracle, entry)) continue;
    const isDamaged = error.code === "damaged-bucket" || /answered 500/.test(error.message);
    if (isCalm && isDamaged && types.has("damage")) continue;
    yield `the call ${planned.id} (${planned.verb}) on ${on} fails with ${error.name} ${error.code}: ${error.message}`;
  }
}

/** Whether a call fails for a damaged value that it does not need. */
function isOfOther(oracle: Oracle, { planned, error, policies }: Failed): boolean {
  if (error.code !== "damaged-bucket" || !("call" in planned)) return false;
  const { call } = planned;
  const keys = policies.flatMap((policy) => oracle.matchesOf(call, policy).map(({ key }) => key));
  const isOfAnswer = call.idempotencyKey !== undefined && error.message.includes("the answer that is kept under");
  return !isOfAnswer && !keys.some((key) => error.message.includes(`the bucket ${key} is`));
}

function isKnown({ name, code, message }: Failure, types: ReadonlySet<FaultType>, hasFailover: boolean): boolean {
  if (message === "the caller has gone") return true;
  // A service does not say why its store has failed for good.
  if (/answered 500: The store failed/.test(message))
    return ["refuse", "damage", "full-disk"].some((type) => types.has(type as FaultType));
  if (name === "MisuseError")
    return MISUSE.has(code) || /above 0|a bucket is unlimited|whose grants last/.test(message);
  if (name !== "StoreError") return false;
  if (OUTAGES.has(code)) return !hasFailover || (types.has("full-disk") && /the disk is full/.test(message));
  return BY_FAULT[code]?.some((type) => types.has(type)) === true;
}
