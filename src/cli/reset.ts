// `tollgate reset`: empty one bucket.

import { Command } from "commander";
import { type ChangeOptions, changeBucket, withChangeOptions } from "./audit.ts";
import { withBucketOptions } from "./input.ts";
import { formatUsages } from "./usage.ts";

export function resetCommand(): Command {
  const command = new Command("reset").description(
    "empty one bucket, named by its limit and all of that limit's dimensions",
  );
  return withChangeOptions(withBucketOptions(command)).action(reset);
}

async function reset(options: ChangeOptions): Promise<void> {
  const { reason } = options;
  const found = await changeBucket(options, { act: "reset" }, (limiter, bucket) => limiter.reset(bucket, { reason }));
  if (options.json) console.log(JSON.stringify(found));
  else if (found === null) console.log("The limit does not apply to these dimensions.");
  else console.log(`Before:\n${formatUsages([found.before])}\nAfter:\n${formatUsages([found.after])}`);
}
