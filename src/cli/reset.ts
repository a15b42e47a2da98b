// `tollgate reset`: empty one bucket.

import { Command } from "commander";
import { type ChangeOptions, changeBucket, withChangeOptions } from "./audit.ts";
import { isConfirmed } from "./confirm.ts";
import { EXIT } from "./exit.ts";
import { dimensionsOf, withBucketOptions } from "./input.ts";
import { formatUsages } from "./usage.ts";

interface ResetOptions extends ChangeOptions {
  readonly yes?: boolean;
}

export function resetCommand(): Command {
  const command = new Command("reset").description(
    "empty one bucket, named by its limit and all of that limit's dimensions",
  );
  return withChangeOptions(withBucketOptions(command))
    .option("--yes", "do not ask first; needed where there is no terminal to ask at")
    .action(reset);
}

async function reset(options: ResetOptions): Promise<void> {
  const { yes = false } = options;
  if (!yes && !(await isConfirmed(`Empty the bucket of ${options.limit} for ${whose(options)}, with its grants?`))) {
    console.error("Nothing was changed.");
    process.exitCode = EXIT.finding;
    return;
  }
  const found = await changeBucket(options, { act: "reset" }, (limiter, bucket, note) => limiter.reset(bucket, note));
  if (options.json) console.log(JSON.stringify(found));
  else console.log(`Before:\n${formatUsages([found.before])}\nAfter:\n${formatUsages([found.after])}`);
}

function whose(options: ResetOptions): string {
  const named = Object.entries(dimensionsOf(options)).map(
    ([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`,
  );
  if (options.asTenant !== undefined) named.unshift(`tenant=${options.asTenant}`);
  return named.length === 0 ? "all" : named.join(" ");
}
