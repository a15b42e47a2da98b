// `tollgate revoke`: end a grant before its time.

import { Command } from "commander";
import { type ChangeOptions, changeBucket, withChangeOptions } from "./audit.ts";
import { EXIT } from "./exit.ts";
import { withBucketOptions } from "./input.ts";
import { formatUsages } from "./usage.ts";

interface RevokeOptions extends ChangeOptions {
  readonly id: string;
}

export function revokeCommand(): Command {
  const command = new Command("revoke").description(
    "end a grant of one bucket, named by its limit and all of that limit's dimensions; usage lists the grants",
  );
  return withChangeOptions(withBucketOptions(command)).requiredOption("--id <id>", "the grant's id").action(revoke);
}

async function revoke(options: RevokeOptions): Promise<void> {
  const { id, json } = options;
  const found = await changeBucket(options, { act: "revoke", grantId: id }, (limiter, bucket, note) => {
    return limiter.revoke(bucket, id, note);
  });
  if (!found.revoked) process.exitCode = EXIT.finding;
  if (json) console.log(JSON.stringify(found));
  else {
    const what = found.revoked ? "Revoked." : `There is no grant ${id} here: it is another bucket's, or has ended.`;
    console.log(`${what} The bucket stands at:\n${formatUsages([found.after])}`);
  }
}
