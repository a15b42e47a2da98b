// What a server's INFO says about its setup, and what of that may break a promise.

import type { SetupCheck } from "../../store/store.ts";

export const UNKNOWN = "unknown";

export function fieldIn(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*)$`, "m").exec(info)?.[1]?.trimEnd();
}

export function joined(problems: readonly (string | null)[]): string | null {
  const found = problems.filter((problem) => problem !== null);
  return found.length === 0 ? null : found.join("; ");
}

/** @param fsync what the server syncs, or `unknown` */
export function serverChecks(info: string, fsync: string): SetupCheck[] {
  return [version(info), eviction(info), persistence(info, fsync)];
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
