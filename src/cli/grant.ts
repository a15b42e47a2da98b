// `tollgate grant`: add to one bucket's quota for some time.

import { Command } from "commander";
import { parseDuration } from "../kernel/duration.ts";
import { invalidOption } from "../kernel/errors.ts";
import { type BucketOptions, dimensionsOf, withBucketOptions, withLimiter } from "./input.ts";
import { formatUsages } from "./usage.ts";

interface GrantOptions extends BucketOptions {
  readonly limit: string;
  readonly units: string;
  readonly lasts: string;
  readonly reason: string;
  readonly id?: string;
}

export function grantCommand(): Command {
  return withBucketOptions(
    new Command("grant").description(
      "add units to one bucket's quota, named by its limit and all of that limit's dimensions",
    ),
  )
    .requiredOption("--limit <name>", "the limit's name")
    .requiredOption("--units <n>", "how many")
    .requiredOption("--lasts <duration>", "how long they are there, such as 1h")
    .requiredOption("--reason <text>", "why")
    .option("--id <id>", "names the grant: the same one twice is granted once; a fresh one unless given")
    .action(grant);
}

async function grant(options: GrantOptions): Promise<void> {
  const { limit, units, lasts, reason, id = crypto.randomUUID(), json } = options;
  const lastsMs = parseDuration(lasts);
  if (lastsMs === null) throw invalidOption("--lasts", "a duration such as 30m or 1d", lasts);
  const after = await withLimiter(options, (limiter) =>
    limiter.grant({ ...dimensionsOf(options), limit }, { id, units: Number(units), lastsMs, reason }),
  );
  if (json) console.log(JSON.stringify(after));
  else if (after === null) console.log("The limit does not apply to these dimensions.");
  else console.log(`Granted. It stands at:\n${formatUsages([after])}`);
}
