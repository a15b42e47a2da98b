// What several subcommands take: files, dimensions, a policy with its store.

import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { DIMENSIONS, type Dimensions } from "../kernel/call.ts";
import { createLimiter, type Limiter } from "../limiter.ts";
import { parsePolicy } from "../policy-file.ts";
import { FileError } from "./exit.ts";
import { openStore, storeUrls } from "./store-url.ts";

/** A file's text. */
export function readInput(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new FileError(`cannot read ${file}: ${error instanceof Error ? error.message : error}`);
  }
}

/** A prefix that no run had before: what it counts begins at zero. */
export function freshPrefix(word: string): string {
  return `${word}-${crypto.randomUUID().slice(0, 8)}`;
}

/** What names a bucket on the command line. */
export interface BucketOptions extends Dimensions {
  readonly policy: string;
  readonly store: string;
  readonly prefix: string;
  readonly json?: boolean;
}

/** Adds the options that say which policy, which store and whose buckets. */
export function withBucketOptions(command: Command): Command {
  command
    .requiredOption("--policy <file>", "the policy, in YAML or JSON")
    .requiredOption("--store <url>", `where the state lives: ${storeUrls("existing")}`)
    .option("--prefix <prefix>", "what keys begin with", "rate");
  for (const dimension of DIMENSIONS)
    command.addOption(new Option(`--${dimension} <value>`, `whose: the ${dimension}`));
  return command.option("--json", "print JSON");
}

/** The dimensions among the options. */
export function dimensionsOf(options: BucketOptions): Dimensions {
  return Object.fromEntries(
    DIMENSIONS.flatMap((dimension) => (options[dimension] === undefined ? [] : [[dimension, options[dimension]]])),
  );
}

/** Opens a limiter, hands it over, and closes it whatever happens. */
export async function withLimiter<Result>(
  options: BucketOptions,
  use: (limiter: Limiter) => Promise<Result>,
): Promise<Result> {
  const policy = parsePolicy(readInput(options.policy), options.policy);
  const { store, close } = await openStore(options.store, "existing");
  try {
    const limiter = createLimiter({ policy, store, prefix: options.prefix });
    try {
      return await use(limiter);
    } finally {
      await limiter.close();
    }
  } finally {
    await close();
  }
}
