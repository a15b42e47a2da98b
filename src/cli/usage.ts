// `tollgate usage`: how do someone's buckets stand?

import { Command } from "commander";
import type { BucketUsage } from "../kernel/decision.ts";
import { formatDuration } from "../kernel/duration.ts";
import { type BucketOptions, dimensionsOf, withBucketOptions, withLimiter } from "./input.ts";
import { formatTable } from "./table.ts";

export function usageCommand(): Command {
  return withBucketOptions(
    new Command("usage").description(
      "show how buckets stand: of each limit whose dimensions are given, for the tools that the policy names",
    ),
  ).action(usage);
}

async function usage(options: BucketOptions): Promise<void> {
  const usages = await withLimiter(options, (limiter) => limiter.usage(dimensionsOf(options)));
  if (options.json) console.log(JSON.stringify(usages));
  else if (usages.length === 0)
    console.log("No limit of this policy has all its dimensions given; --tool may be missing.");
  else console.log(formatUsages(usages));
}

/** Usages as a table. */
export function formatUsages(usages: readonly BucketUsage[]): string {
  return formatTable(
    ["limit", "whose", "used", "quota", "granted", "remaining", "all back in"],
    usages.map(({ limit, dimensions, unit, used, quota, grants, remaining, resetAfterMs }) => [
      limit,
      Object.entries(dimensions)
        .map(([dimension, value]) => `${dimension}=${value}`)
        .join(" "),
      `${used} ${unit}`,
      String(quota),
      formatGrants(grants),
      String(remaining),
      resetAfterMs === 0 ? "-" : formatDuration(resetAfterMs),
    ]),
  );
}

/** Each grant: its units, when it ends, and the id by which it can be revoked. */
function formatGrants(grants: BucketUsage["grants"]): string {
  if (grants.length === 0) return "-";
  return grants.map(({ id, units, endsInMs }) => `+${units} for ${formatDuration(endsInMs)} (${id})`).join(", ");
}
