// Which policies a store of Durable Objects refuses: those that it could not keep exactly.

import { type Fault, formatGot, MisuseError } from "../kernel/errors.ts";
import type { Limit } from "../kernel/limit.ts";
import { allotmentsOf, compiledPolicy, type Policy } from "../kernel/policy/parse.ts";
import { algorithmOf } from "../kernel/algorithms/registry.ts";

/**
 * Refuses what cannot be exact.
 *
 * @throws MisuseError `unsupported-limit`
 */
export function checkPolicy(policy: Policy): void {
  const { partition, limits } = compiledPolicy(policy);
  const faults = limits.flatMap((limit) => wideFault(limit, limits, partition));
  if (faults.length > 0) throw new MisuseError("unsupported-limit", faults);
}

/**
 * A call over several objects is charged in each of them, and asks the one last that can give nothing back. So that one has to be the
 * partition's, where answers are kept for idempotency keys, or the only one.
 */
function wideFault(limit: Limit, limits: readonly Limit[], partition: string): Fault[] {
  const { name, per, onMissing } = limit;
  if (!booksAtOnce(limit) || (per.includes(partition) && onMissing !== "shared")) return [];
  const shard = shardOf(limit, partition);
  const other = limits.find((each) => each.mode === "enforce" && shardOf(each, partition) !== shard);
  if (other === undefined) return [];
  const what = limit.distinct === null ? "the time that it starts" : `a value of ${limit.distinct} that it counts`;
  const expected = `a limit per ${partition}: ${what} cannot be taken back when ${other.name}, in another object, denies the call`;
  const hint = "Set partition to a dimension that both limits are per.";
  return [{ path: `limits.${name}.per`, expected, got: formatGot(per), hint }];
}

/** Whether a charge of it cannot be held. Outcomes do not matter here: a call is judged by them and books nothing. */
function booksAtOnce(limit: Limit): boolean {
  if (limit.distinct !== null) return true;
  return limit.reports === null && allotmentsOf(limit).some(({ spec }) => !algorithmOf(spec).countsUnits);
}

/** Limits of the same shard are in the same object for one call. */
function shardOf({ per, name }: Limit, partition: string): string {
  if (per.includes(partition)) return partition;
  return per[0] ?? `the limit ${name}`;
}
