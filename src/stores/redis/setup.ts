// How a Redis is set up, and what of that may break a promise.

import { reasonOf } from "../../kernel/reason.ts";
import { StoreError } from "../../store/error.ts";
import type { SetupCheck } from "../../store/store.ts";
import type { RedisClient, Send } from "./client.ts";
import { redisError, saysNoUser } from "./errors.ts";
import { clientCheck } from "./settings.ts";

const UNKNOWN = "unknown";

/** Reads version, eviction and persistence, and the client's settings. What the server does not report is `unknown`. */
export async function checkSetup(client: RedisClient, send: Send): Promise<readonly SetupCheck[]> {
  const info = textOf(await readInfo(send));
  const fsync = await appendFsync(send);
  return [version(info), eviction(info), persistence(info, fsync), clientCheck(client)];
}

/** A user or a managed server may lack INFO: then nothing of the setup can be known. */
async function readInfo(send: Send): Promise<unknown> {
  try {
    return await send(undefined, "INFO");
  } catch (error) {
    if (redisError(error).transient || saysNoUser(error)) throw error;
    const message =
      `Redis: ${reasonOf(error).replace(/\.$/, "")}. So version, eviction and persistence are not known: allow INFO for this user, or ` +
      "make sure that the server is Redis 7.0 or newer, with maxmemory-policy noeviction and appendonly yes";
    throw new StoreError("unauthorized", message, { transient: false, cause: error });
  }
}

/** On a cluster, some clients answer for each server. */
function textOf(answer: unknown): string {
  if (typeof answer === "string") return answer;
  const [first] = Object.values(answer as object);
  return typeof first === "object" && first !== null && "value" in first ? String(first.value) : String(first);
}

function fieldIn(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*)$`, "m").exec(info)?.[1];
}

/** Managed servers may refuse CONFIG. */
async function appendFsync(send: Send): Promise<string> {
  try {
    const answer = await send(undefined, "CONFIG", "GET", "appendfsync");
    const values = Array.isArray(answer) ? answer : Object.values(answer as Record<string, string>);
    return String(values.at(-1));
  } catch (error) {
    if (redisError(error).transient) throw error;
    return UNKNOWN;
  }
}

function version(info: string): SetupCheck {
  const valkey = fieldIn(info, "valkey_version");
  const redis = fieldIn(info, "redis_version") ?? UNKNOWN;
  // An unknown version is not old.
  const isOld = valkey === undefined && Number.parseInt(redis, 10) < 7;
  return {
    name: "version",
    value: valkey === undefined ? `Redis ${redis}` : `Valkey ${valkey}`,
    problem: isOld ? "Redis 7.0 or newer is needed: every request will fail with too-old" : null,
  };
}

function eviction(info: string): SetupCheck {
  const value = fieldIn(info, "maxmemory_policy") ?? UNKNOWN;
  const lost = "counters may be evicted, and count from zero again: set maxmemory-policy to noeviction";
  const unsaid = "the server does not say whether it evicts counters: make sure that maxmemory-policy is noeviction";
  return { name: "eviction", value, problem: value === "noeviction" ? null : value === UNKNOWN ? unsaid : lost };
}

function persistence(info: string, fsync: string): SetupCheck {
  const name = "persistence";
  if (fieldIn(info, "aof_enabled") !== "1") {
    const problem = "a restart of the server forgets what was counted since its last snapshot: set appendonly yes";
    return { name, value: "no append-only file", problem };
  }
  const lost = "a crash of the server may lose what was counted in the last two seconds: set appendfsync to always";
  const unsaid =
    "whether a crash may lose what was counted last is not known, because the server refuses CONFIG GET: allow " +
    "CONFIG|GET for this user, or make sure that appendfsync is always";
  const problem = fsync === "always" ? null : fsync === UNKNOWN ? unsaid : lost;
  return { name, value: `append-only file, fsync ${fsync}`, problem };
}
