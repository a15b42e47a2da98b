// The options of `tollgate mcp -- COMMAND`, and what they say of its calls.

import { existsSync } from "node:fs";
import { userInfo } from "node:os";
import { type Command, Option } from "commander";
import type { CallsConfig, Source } from "../gateway/config/config.ts";
import { NOT_GIVEN, unknownDimensions } from "../gateway/config/against-policy.ts";
import { randomBytes } from "node:crypto";
import { randomId } from "../ids.ts";
import { parseDuration } from "../kernel/duration.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { collect, GATEWAY_PRESET, LOCAL_POLICY, policyIn, withEnvironment, withStoreFile } from "./defaults.ts";
import { ownDimensions, withPrefixOption } from "./input.ts";
import { LOG_URLS } from "./log-url.ts";
import { ALL_URLS } from "./store-url.ts";

export interface McpOptions {
  readonly policy: string;
  readonly store?: string;
  readonly prefix: string;
  readonly url?: string;
  readonly log?: string;
  /** The file of a gateway over HTTP. */
  readonly config?: string;
  readonly user?: string;
  readonly tenant?: string;
  readonly session?: string;
  readonly sessionPerProcess?: boolean;
  readonly sessionMeta?: string;
  readonly turnMeta?: string;
  readonly dimension?: readonly string[];
  readonly notices: CallsConfig["notices"];
  readonly maxWait?: string;
}

/** The options of a gateway over stdio alone: of another one its file says this. */
export const OF_CALLS = [
  "user",
  "tenant",
  "session",
  "sessionPerProcess",
  "sessionMeta",
  "turnMeta",
  "dimension",
  "notices",
  "maxWait",
] as const satisfies readonly (keyof McpOptions)[];
/** How long a call may wait for its units: clients give a call a minute. */
const MOST_WAIT_MS = 60_000;

export function withMcpOptions(command: Command): Command {
  const policy = withEnvironment(
    "--policy <file>",
    "the policy, in YAML or JSON; read again when it changes",
    "POLICY",
  );
  const isLocal = existsSync(LOCAL_POLICY);
  command.addOption(
    policy.default(isLocal ? LOCAL_POLICY : GATEWAY_PRESET, `${LOCAL_POLICY} in this folder, else a preset`),
  );
  const store = `where the state lives: ${ALL_URLS}; without, a SQLite file in the user's state directory`;
  withStoreFile(command.addOption(withEnvironment("--store <url>", store, "STORE")), "STORE_FILE");
  const log = `where decisions are kept: ${LOG_URLS}; without, nowhere`;
  return withPrefixOption(command)
    .addOption(
      withEnvironment("--url <url>", "ask this service instead of a store; its key is in TOLLGATE_API_KEY", "URL"),
    )
    .addOption(withEnvironment("--log <url>", log, "LOG"))
    .option("--user <value>", "the user of all calls; without, the user of the operating system")
    .option("--tenant <value>", "the tenant of all calls")
    .option("--session <value>", "the session of all calls; without, all processes share one")
    .option("--session-per-process", "a session for each start, so that a restart brings a new budget")
    .option("--session-meta <field>", "the field of _meta in which a client says the session of a call")
    .option("--turn-meta <field>", "the field of _meta in which a client says the turn of a call")
    .option("--dimension <name=value>", "a dimension of the policy's own, of all calls; may be repeated", collect)
    .addOption(
      new Option("--notices <where>", "where notices stand in results").choices(["meta", "content"]).default("meta"),
    )
    .option("--max-wait <duration>", "how long a call may wait until it is allowed, such as 5s, at most 1m");
}

/**
 * The policy of a gateway over stdio; `null`: a service has it.
 *
 * @throws MisuseError `invalid-option`
 */
export function policyOfOptions(options: McpOptions, command: Command): CompiledPolicy | null {
  if (options.url === undefined) return policyIn(options.policy);
  if (command.getOptionValueSource("log") !== "cli") return null;
  throw invalidOption("--log", "nothing beside --url: the service has its own", options.log);
}

/** @throws MisuseError `invalid-option` */
export function callsOfOptions(options: McpOptions, policy: CompiledPolicy | null): CallsConfig {
  const identity = identityOf(options);
  const [unknown] = policy === null ? [] : unknownDimensions(identity, policy);
  if (unknown !== undefined) {
    const known = [...(policy as CompiledPolicy).dimensions].join(", ");
    throw invalidOption("--dimension", `one of the policy's dimensions: ${known}`, unknown);
  }
  return {
    identity,
    notices: options.notices,
    maxWaitMs: maxWaitOf(options),
    // Its calls end with this process.
    secrets: [{ id: "process", secret: randomBytes(32) }],
  };
}

function identityOf(options: McpOptions): ReadonlyMap<string, Source> {
  const { user, tenant, turnMeta, dimension = [] } = options;
  const sources = new Map<string, Source>([["user", { value: user ?? userInfo().username }]]);
  if (tenant !== undefined) sources.set("tenant", { value: tenant });
  const session = sessionOf(options);
  if (session !== null) sources.set("session", session);
  if (turnMeta !== undefined) sources.set("turn", { meta: turnMeta });
  for (const [name, value] of ownDimensions(dimension)) {
    if (NOT_GIVEN.has(name) || ["user", "tenant", "session"].includes(name) || sources.has(name)) {
      throw invalidOption("--dimension", "a dimension that no other option says, once", `${name}=${value}`);
    }
    sources.set(name, { value });
  }
  return sources;
}

function sessionOf({ session, sessionPerProcess, sessionMeta }: McpOptions): Source | null {
  const said = [session, sessionPerProcess, sessionMeta].filter((each) => each !== undefined);
  if (said.length > 1) {
    throw invalidOption("--session, --session-per-process and --session-meta", "one of them", `${said.length} of them`);
  }
  if (sessionMeta !== undefined) return { meta: sessionMeta };
  const value = sessionPerProcess ? randomId() : session;
  return value === undefined ? null : { value };
}

function maxWaitOf({ maxWait }: McpOptions): number {
  const ms = maxWait === undefined ? 0 : parseDuration(maxWait);
  if (ms !== null && ms <= MOST_WAIT_MS) return ms;
  throw invalidOption("--max-wait", "a duration such as 5s, at most 1m", maxWait);
}
