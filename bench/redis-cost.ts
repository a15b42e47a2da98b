// What decisions take inside Redis, by the server's own statistics.

import type { RedisServer } from "./redis-server.ts";

/** Microseconds, and commands. */
export interface Cost {
  /** Commands that decide. */
  readonly commands: number;
  /** Their microseconds, by the clock. */
  readonly microseconds: number;
  /** Microseconds of all processor time that the server took, with reading and answering. */
  readonly processor: number;
}

// What a script calls is counted as well, so that only the script itself is asked about where there is one.
const SCRIPTS = ["evalsha", "eval", "fcall"];
const PLAIN = ["incr"];

/** What the server has done since it was started, or its statistics were reset. */
export async function costSoFar(server: RedisServer): Promise<Cost> {
  const stats = await server.info("commandstats");
  const cpu = await server.info("cpu");
  const sumOf = (names: readonly string[], field: string) =>
    names.reduce(
      (sum, name) => sum + Number(new RegExp(`\\b${field}=(\\d+)`).exec(stats.get(`cmdstat_${name}`) ?? "")?.[1] ?? 0),
      0,
    );
  const names = sumOf(SCRIPTS, "calls") > 0 ? SCRIPTS : PLAIN;
  return {
    commands: sumOf(names, "calls"),
    microseconds: sumOf(names, "usec"),
    processor: (Number(cpu.get("used_cpu_user")) + Number(cpu.get("used_cpu_sys"))) * 1e6,
  };
}

/** What `run` takes, for each of so many decisions. */
export async function costOf(server: RedisServer, decisions: number, run: () => Promise<unknown>): Promise<Cost> {
  await server.control.config("RESETSTAT");
  const before = await costSoFar(server);
  await run();
  const after = await costSoFar(server);
  return {
    commands: after.commands / decisions,
    microseconds: after.microseconds / decisions,
    processor: (after.processor - before.processor) / decisions,
  };
}
