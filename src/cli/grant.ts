// `tollgate grant`: add to one bucket's quota for some time.

import { isDeepStrictEqual } from "node:util";
import { Command } from "commander";
import { randomId } from "../ids.ts";
import type { BucketDimensions } from "../kernel/call.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import { formatDuration, MAX_DURATION_MS, parseDuration } from "../kernel/duration.ts";
import { invalidOption } from "../kernel/errors.ts";
import { isMoneyText, MONEY_UNIT, parseQuantity } from "../kernel/quantity.ts";
import type { Buckets } from "./as-tenant.ts";
import { type ChangeOptions, changeBucket, withChangeOptions } from "./audit.ts";
import { policyIn } from "./defaults.ts";
import { dimensionsOf, withBucketOptions, withLimiter } from "./input.ts";
import { amountOf, formatUsages } from "./usage.ts";

interface GrantOptions extends ChangeOptions {
  readonly units: string;
  readonly duration: string;
  readonly id?: string;
}

const LONGEST = `at most ${formatDuration(MAX_DURATION_MS)}`;

export function grantCommand(): Command {
  const command = new Command("grant").description(
    "add units to one bucket's quota, named by its limit and all of that limit's dimensions",
  );
  return withChangeOptions(withBucketOptions(command))
    .requiredOption(
      "--units <n>",
      "how many: a whole number, or an amount such as 200k; of a limit that counts dollars an amount such as $5",
    )
    .requiredOption("--duration <duration>", "how long they are there, such as 1h")
    .option(
      "--id <id>",
      "names the grant: the same one, sent again while it is there, is granted once; a fresh id unless given",
    )
    .action(grant);
}

async function grant(options: GrantOptions): Promise<void> {
  const { duration, id = randomId(), json } = options;
  const units = unitsIn(options, await unitOf(options));
  const durationMs = parseDuration(duration);
  if (durationMs === null) throw invalidOption("--duration", `a duration such as 30m or 1d, ${LONGEST}`, duration);
  const act = { act: "grant", units, durationMs, grantId: id } as const;
  const { before, after } = await changeBucket(options, act, async (limiter, bucket, note) => {
    const { limit: _, ...dimensions } = bucket;
    const known = json ? [] : await readable(limiter, dimensions);
    const after = await limiter.grant(bucket, { id, units, durationMs }, note);
    const isSame = ({ limit, dimensions }: BucketUsage) =>
      limit === after.limit && isDeepStrictEqual(dimensions, after.dimensions);
    return { before: known.find(isSame) ?? null, after };
  });
  if (json) console.log(JSON.stringify(after));
  else {
    const isListed = after.grants.some((grant) => grant.id === id);
    const what = isListed ? `Granted as ${id}.` : filled(before, after, units);
    console.log(`${what} The bucket stands at:\n${formatUsages([after])}`);
  }
}

/** How buckets stand, where that may be read: a key may have the scope to grant alone. */
async function readable(limiter: Buckets, dimensions: BucketDimensions): Promise<readonly BucketUsage[]> {
  try {
    return await limiter.usage(dimensions);
  } catch {
    return [];
  }
}

/** What came of a grant that is not kept: of a token bucket, or of a window that ends at this instant. */
function filled(before: BucketUsage | null, after: BucketUsage, units: number): string {
  const { unit, capacity } = after;
  const most = `it holds at most ${amountOf(capacity, unit)}`;
  if (before === null) return `The bucket was filled at once, and what did not fit is lost: ${most}.`;
  const added = Math.min(units, Math.max(0, (after.remaining ?? 0) - (before.remaining ?? 0)));
  const isFull = after.remaining === capacity;
  if (added === 0) return `Nothing was added${isFull ? ", because the bucket is full" : ""}: ${most}.`;
  const lost = added < units ? ` The rest is lost: ${most}.` : "";
  return `${amountOf(added, unit)} of ${amountOf(units, unit)} ${unit} were added at once.${lost}`;
}

/** What the limit counts; `null`: that is not known, as where the key of a service may not read. */
async function unitOf(options: GrantOptions): Promise<string | null> {
  const { url, policy, limit } = options;
  if (url === undefined) return policyIn(policy).limits.find(({ name }) => name === limit)?.unit ?? null;
  const usages = await withLimiter(options, (limiter) => readable(limiter, dimensionsOf(options)));
  return usages.find((usage) => usage.limit === limit)?.unit ?? null;
}

/** The units that are granted. Money is written as money, so that 1 does not grant a millionth of a dollar. */
function unitsIn({ units, limit }: GrantOptions, unit: string | null): number {
  const amount = /^\d+$/.test(units) ? Number(units) : parseQuantity(units);
  if (amount === null || !Number.isSafeInteger(amount)) {
    throw invalidOption("--units", "a whole number from 1, or an amount such as 200k or $5", units);
  }
  if (unit === null && isMoneyText(units)) {
    throw invalidOption("--units", `${amount} for ${units}, where it is not known what ${limit} counts`, units);
  }
  if (unit === null || isMoneyText(units) === (unit === MONEY_UNIT)) return amount;
  if (unit === MONEY_UNIT) {
    throw invalidOption("--units", `an amount of money such as $1: the limit ${limit} counts dollars`, units);
  }
  throw invalidOption("--units", `an amount without $: the limit ${limit} counts ${unit}`, units);
}
