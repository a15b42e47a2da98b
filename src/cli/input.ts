// What several subcommands take: files, dimensions, a policy with its store.

import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { type BucketDimensions, DERIVED_DIMENSIONS, DIMENSIONS, type WellKnownBucket } from "../kernel/call.ts";
import { invalidOption } from "../kernel/errors.ts";
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
export interface BucketOptions extends WellKnownBucket {
  readonly policy: string;
  readonly store: string;
  readonly prefix: string;
  /** Of the policy's own, each `name=value`. */
  readonly dimension?: readonly string[];
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
  command
    .option("--tier <value>", "whose: the tools' tier")
    .option("--args <json>", "whose: the arguments, as a call has them")
    .option("--dimension <name=value...>", "whose: a dimension of the policy's own");
  return command.option("--json", "print JSON");
}

/** The dimensions among the options. */
export function dimensionsOf(options: BucketOptions): BucketDimensions {
  const own = (options.dimension ?? []).map((pair) => {
    const [name = "", ...value] = pair.split("=");
    if (name === "" || value.length === 0) throw invalidOption("--dimension", "name=value", pair);
    return [name, value.join("=")] as const;
  });
  const said = [...DIMENSIONS, ...DERIVED_DIMENSIONS].map((dimension) => [dimension, options[dimension]] as const);
  return Object.fromEntries([...own, ...said.filter(([, value]) => value !== undefined)]);
}

/** Opens a limiter, hands it over, and closes it whatever happens. */
export async function withLimiter<Result>(
  options: BucketOptions,
  use: (limiter: Limiter) => Promise<Result>,
): Promise<Result> {
  const policy = parsePolicy(readInput(options.policy), options.policy);
  const { store, close } = await openStore(options.store, "existing");
  try {
    const limiter = createLimiter({ policy, store, prefix: options.prefix, failover: false });
    try {
      return await use(limiter);
    } finally {
      await limiter.close();
    }
  } finally {
    await close();
  }
}
