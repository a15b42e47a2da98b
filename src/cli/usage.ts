// `tollgate usage`: how do someone's buckets stand?

import { Command } from "commander";
import type { BucketDimensions } from "../kernel/call.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import { formatDuration } from "../kernel/duration.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import { MONEY_UNIT, quantityOf } from "../kernel/quantity.ts";
import { nounOf } from "../kernel/words.ts";
import { dimensionOption } from "./as-options.ts";
import { adviseTenant } from "./as-tenant.ts";
import { policyLabel, SAMPLE_POLICY } from "./defaults.ts";
import { type BucketOptions, dimensionsOf, withBucketOptions, withLimiter } from "./input.ts";
import { formatList, formatTable } from "./table.ts";

/** The command does not know the policy of a service. */
const NONE_OF_SERVICE =
  "No limit of the service has all of its dimensions given. Add those of a limit's per, such as --session, --turn and --tool.";

export function usageCommand(): Command {
  return withBucketOptions(
    new Command("usage").description(
      "show how buckets stand: of each limit whose dimensions are given, for the tools that the policy names",
    ),
  ).action(usage);
}

async function usage(options: BucketOptions): Promise<void> {
  const dimensions = dimensionsOf(options);
  const { usages, policy } = await withLimiter(options, async (limiter, policy) => {
    return { usages: await limiter.usage(dimensions), policy };
  });
  if (options.json) console.log(JSON.stringify(usages));
  else if (usages.length > 0) console.log(formatUsages(usages));
  else if (policy === null) console.log(NONE_OF_SERVICE);
  else console.log(`No limit has all of its dimensions given. What is missing:\n${formatMissing(policy, dimensions)}`);
  if (policy !== null && !options.json) for (const line of otherQuotas(policy, dimensions, usages)) console.log(line);
  adviseTenant(options, dimensions);
  if (policy !== null && options.policy === SAMPLE_POLICY) console.error(`policy ${policyLabel(options.policy)}`);
}

/** The options that each limit wants beside those that were given. */
function formatMissing({ limits, tools, groups }: CompiledPolicy, given: BucketDimensions): string {
  const isKnown = (dimension: string, limit: Limit) =>
    (given as Record<string, unknown>)[dimension] !== undefined ||
    (dimension === "tool" && tools.some(limit.matches)) ||
    (dimension === "group" && groups.size > 0);
  const rows = limits.map((limit) => {
    const missing = limit.per.filter((dimension) => !isKnown(dimension, limit)).map(dimensionOption);
    return [limit.name, missing.join(" ") || "a tool or a group that the limit applies to"] as const;
  });
  return formatList(rows);
}

/** A line for each limit shown whose quota depends on a dimension that was not given. */
function otherQuotas({ limits }: CompiledPolicy, given: BucketDimensions, usages: readonly BucketUsage[]): string[] {
  const shown = new Set(usages.map(({ limit }) => limit));
  return limits.flatMap(({ name, per, dimensions, quotas, overrides }) => {
    if (!shown.has(name) || quotas.length + overrides.length === 0) return [];
    const more = [...dimensions].filter((each) => !per.includes(each) && !Object.hasOwn(given, each));
    if (more.length === 0) return [];
    const options = more.map(dimensionOption).join(" ");
    return `The quota of ${name} depends on ${more.join(", ")}, too. Shown is that of calls without it; say ${options}.`;
  });
}

export function formatUsages(usages: readonly BucketUsage[]): string {
  return formatTable(
    ["limit", "whose", "used", "quota", "granted", "remaining", "resets in"],
    usages.map(({ limit, dimensions, unit, used, quota, capacity, grants, remaining, resetAfterMs }) => [
      limit,
      Object.entries(dimensions)
        .map(([dimension, value]) => `${dimension}=${value}`)
        .join(" "),
      unit === MONEY_UNIT ? amountOf(used, unit) : `${used} ${nounOf(unit, used)}`,
      quota === capacity
        ? amountOf(quota, unit)
        : `${amountOf(quota, unit)}, at most ${amountOf(capacity, unit)} at once`,
      formatGrants(grants, unit),
      amountOf(remaining, unit),
      resetAfterMs === 0 ? "-" : formatDuration(resetAfterMs),
    ]),
  );
}

/** Each grant: its units, when it ends, and the id by which it can be revoked. */
function formatGrants(grants: BucketUsage["grants"], unit: string): string {
  if (grants.length === 0) return "-";
  return grants
    .map(({ id, units, endsInMs }) => `+${amountOf(units, unit)} for ${formatDuration(endsInMs)} (${id})`)
    .join(", ");
}

/** Units as people read them: money in dollars. */
export function amountOf(units: number | null, unit: string): string {
  if (units === null) return "unlimited";
  return unit === MONEY_UNIT ? quantityOf(units, unit) : String(units);
}
