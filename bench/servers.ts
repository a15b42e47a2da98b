// Which servers this machine has.

import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import type { Server } from "./section.ts";

/** What is installed, by name and version; `null` where it is not. */
export function serverVersions(): Readonly<Record<Server, string | null>> {
  const redis = versionOf(redisProgram(), /v=(\S+)/);
  const [initdb = "initdb"] = ["initdb", ...globSync("/usr/lib/postgresql/*/bin/initdb")].filter((each) => runs(each));
  const postgres = versionOf(initdb, /\(PostgreSQL\) (.+)/);
  return {
    redis: redis === null ? null : `Redis ${redis}`,
    postgres: postgres === null ? null : `Postgres ${postgres}`,
  };
}

export const redisProgram = () => ["redis-server", "valkey-server"].find((each) => runs(each)) ?? "redis-server";

const runs = (program: string) => spawnSync(program, ["--version"]).status === 0;

function versionOf(program: string, pattern: RegExp): string | null {
  const { stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
  return pattern.exec(stdout ?? "")?.[1]?.trim() ?? null;
}
