// `tollgate grant`: add to one bucket's quota for some time.

import { Command } from "commander";
import { formatDuration, MAX_DURATION_MS, parseDuration } from "../kernel/duration.ts";
import { invalidOption } from "../kernel/errors.ts";
import { type ChangeOptions, changeBucket, withChangeOptions } from "./audit.ts";
import { withBucketOptions } from "./input.ts";
import { formatUsages } from "./usage.ts";

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
    .requiredOption("--units <n>", "how many")
    .requiredOption("--duration <duration>", "how long they are there, such as 1h")
    .option(
      "--id <id>",
      "names the grant: the same one, sent again while it is there, is granted once; a fresh id unless given",
    )
    .action(grant);
}

async function grant(options: GrantOptions): Promise<void> {
  const { duration, reason, id = crypto.randomUUID(), json } = options;
  if (!/^\d+$/.test(options.units)) throw invalidOption("--units", "a whole number from 1", options.units);
  const units = Number(options.units);
  const durationMs = parseDuration(duration);
  if (durationMs === null) throw invalidOption("--duration", `a duration such as 30m or 1d, ${LONGEST}`, duration);
  const after = await changeBucket(options, { act: "grant", units, durationMs, grantId: id }, (limiter, bucket) =>
    limiter.grant(bucket, { id, units, durationMs }, { reason }),
  );
  if (json) console.log(JSON.stringify(after));
  else if (after === null) console.log("The limit does not apply to these dimensions.");
  else console.log(`Granted as ${id}. The bucket stands at:\n${formatUsages([after])}`);
}
