// What several subcommands take: the dimensions of a bucket, and a limiter on a store or of a service.

import { type Command, Option } from "commander";
import { randomId } from "../ids.ts";
import { createRemoteLimiter } from "../client.ts";
import { type BucketDimensions, DERIVED_DIMENSIONS, DIMENSIONS, type WellKnownBucket } from "../kernel/call.ts";
import { formatGot, invalidOption, MisuseError, withFaults } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { reasonOf } from "../kernel/reason.ts";
import { createLimiter } from "../limiter.ts";
import { tenantLog } from "../service/tenant-log.ts";
import { StoreError } from "../store/error.ts";
import { keyRefused } from "./api-key.ts";
import { type Buckets, bucketsOf, fetchAs } from "./as-tenant.ts";
import { collect, policyIn, SAMPLE_POLICY, withEnvironment, withPolicyOption, withStoreOption } from "./defaults.ts";
import { CommandError } from "./exit.ts";
import { choosePolicy } from "./gateway-place.ts";
import { openLog } from "./log-url.ts";
import { openStore } from "./store-url.ts";

/** How long a service may take for an answer. */
const SERVICE_ANSWERS_MS = 10_000;

/** A prefix that no run had before: what it counts begins at zero. */
export function freshPrefix(word: string): string {
  return `${word}-${randomId().slice(0, 8)}`;
}

/** What names a bucket on the command line. */
export interface BucketOptions extends WellKnownBucket {
  readonly policy: string;
  readonly store: string;
  readonly prefix: string;
  /** The service to ask; absent: the store. */
  readonly url?: string;
  /** Of the policy's own, each `name=value`. */
  readonly dimension?: readonly string[];
  /** The tenant for whose bound key's buckets it asks. */
  readonly asTenant?: string;
  readonly json?: boolean;
  /** The decision log that gets what is changed. */
  readonly log?: string;
}

export function withPrefixOption(command: Command): Command {
  return command.addOption(withEnvironment("--prefix <prefix>", "what keys begin with", "PREFIX").default("rate"));
}

/** Adds the options that say which policy and which store, or which service, and whose buckets. */
export function withBucketOptions(command: Command): Command {
  withPrefixOption(withStoreOption(withPolicyOption(command), "existing"));
  command
    .addOption(
      withEnvironment("--url <url>", "ask this service instead of a store; its key is in TOLLGATE_API_KEY", "URL"),
    )
    .hook("preAction", (_, action) => {
      chooseService(action);
      choosePolicy(action);
    });
  for (const dimension of DIMENSIONS)
    command.addOption(new Option(`--${dimension} <value>`, `the ${dimension}, as a call has it`));
  command
    .option("--group <value>", "the group of tools")
    .option("--args <json>", "the arguments, as a call has them")
    .option("--dimension <name=value>", "a dimension of the policy's own; may be repeated", collect)
    .option("--as-tenant <tenant>", "name the buckets as a key of the service does that is bound to this tenant");
  return command.option("--json", "print JSON");
}

/** Refuses options of a store beside a service. A store that a flag names wins over a service that the environment names. */
export function chooseService(action: Command): void {
  const isFlag = (name: string) => action.getOptionValueSource(name) === "cli";
  if (action.getOptionValue("url") === undefined) return;
  if (!isFlag("url") && (isFlag("store") || isFlag("storeFile"))) {
    action.setOptionValue("url", undefined);
    return;
  }
  const beside = ["store", "storeFile", "policy", "prefix"].find(isFlag);
  if (beside === undefined) return;
  const flag = `--${beside === "storeFile" ? "store-file" : beside}`;
  const service = isFlag("url") ? "--url" : "TOLLGATE_URL";
  throw invalidOption(flag, `nothing beside ${service}: the service has its own`, action.getOptionValue(beside));
}

/** The dimensions among the options. */
export function dimensionsOf(options: BucketOptions): BucketDimensions {
  const own = ownDimensions(options.dimension ?? []);
  const args = options.args === undefined ? undefined : parseArgs(String(options.args));
  const said = [...DIMENSIONS, ...DERIVED_DIMENSIONS].map(
    (dimension) => [dimension, dimension === "args" ? args : options[dimension]] as const,
  );
  return Object.fromEntries([...own, ...said.filter(([, value]) => value !== undefined)]);
}

/** Dimensions of the policy's own, each as its name and its value. */
export function ownDimensions(pairs: readonly string[]): (readonly [name: string, value: string])[] {
  return pairs.map((pair) => {
    const [name = "", ...value] = pair.split("=");
    if (name === "" || value.length === 0) throw invalidOption("--dimension", "name=value", pair);
    return [name, value.join("=")] as const;
  });
}

function parseArgs(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const got = `${formatGot(text)} (${reasonOf(error)})`;
    throw new MisuseError("invalid-option", { path: "--args", expected: 'JSON such as {"city":"Rome"}', got });
  }
}

/** Opens a limiter, on the store or of the service, passes it on, and closes it in any case. */
export async function withLimiter<Result>(
  options: BucketOptions,
  use: (limiter: Buckets, policy: CompiledPolicy | null) => Promise<Result>,
): Promise<Result> {
  return options.url === undefined ? withStoreLimiter(options, use) : withServiceLimiter(options.url, options, use);
}

async function withServiceLimiter<Result>(
  url: string,
  { asTenant }: BucketOptions,
  use: (limiter: Buckets, policy: null) => Promise<Result>,
): Promise<Result> {
  const limiter = createRemoteLimiter({
    url,
    deadlineMs: SERVICE_ANSWERS_MS,
    apiKey: process.env.TOLLGATE_API_KEY,
    fetch: asTenant === undefined ? undefined : fetchAs(asTenant),
  });
  try {
    return await use(limiter, null);
  } catch (error) {
    throw asMisuse(error);
  } finally {
    await limiter.close();
  }
}

/** A wrong key, or a path that the service does not have, is misuse: the service itself works. */
export function asMisuse(error: unknown): unknown {
  if (!StoreError.isInstance(error)) return error;
  if (!["unauthorized", "unsupported-request"].includes(error.code)) return error;
  return new CommandError(/\banswered 401\b/.test(error.message) ? keyRefused() : error.message, { cause: error });
}

async function withStoreLimiter<Result>(
  options: BucketOptions,
  use: (limiter: Buckets, policy: CompiledPolicy) => Promise<Result>,
): Promise<Result> {
  const policy = policyIn(options.policy);
  const { store, close } = await openStore(options.store, "existing");
  try {
    const log = options.log === undefined ? null : await openLog(options.log, true);
    const logging = log === null ? {} : { log: tenantLog(log) };
    const limiter = createLimiter({ policy, store, prefix: options.prefix, failover: false, ...logging });
    try {
      const { asTenant } = options;
      return await use(asTenant === undefined ? limiter : bucketsOf(limiter, policy, asTenant), policy);
    } catch (error) {
      throw options.policy === SAMPLE_POLICY ? ofSample(error) : error;
    } finally {
      await limiter.close();
    }
  } finally {
    await close();
  }
}

/** The limits are those of the sample, which may not be the ones that were meant. */
function ofSample(error: unknown): unknown {
  if (!MisuseError.isInstance(error) || error.code !== "unknown-limit") return error;
  const advice = "(of the sample: name yours with --policy)";
  return withFaults(error, (fault) => ({ ...fault, expected: `${fault.expected} ${advice}` }));
}
