// `tollgate reset`: empty one bucket.

import { Command } from "commander";
import { type BucketOptions, dimensionsOf, withBucketOptions, withLimiter } from "./input.ts";
import { formatUsages } from "./usage.ts";

export function resetCommand(): Command {
  return withBucketOptions(
    new Command("reset").description("empty one bucket, named by its limit and all of that limit's dimensions"),
  )
    .requiredOption("--limit <name>", "the limit's name")
    .action(reset);
}

async function reset(options: BucketOptions & { readonly limit: string }): Promise<void> {
  const before = await withLimiter(options, (limiter) =>
    limiter.reset({ ...dimensionsOf(options), limit: options.limit }),
  );
  if (options.json) console.log(JSON.stringify(before));
  else if (before === null) console.log("The limit does not apply to these dimensions.");
  else console.log(`Reset. It stood at:\n${formatUsages([before])}`);
}
