// What decisions cost inside Redis, by the server's own statistics.

import type { RedisServer } from "./servers.ts";

export interface Cost {
  /** Commands that decide. */
  readonly commands: number;
  /** Wall time of these commands, µs. */
  readonly microseconds: number;
  /** Wall time of the commands that scripts call, µs: the rest of a script's time passes in Lua. */
  readonly called: number;
  /** Processor time of the whole server, with reading and answering, µs. */
  readonly processor: number;
}

// The commands that a script calls are counted, too. So where there are scripts, only those are read.
const SCRIPTS = ["evalsha", "eval", "fcall"];
const PLAIN = ["incr"];
// What clients and the benchmark itself ask.
const AROUND = /^cmdstat_(?:client|config|eval|evalsha|fcall|flushall|hello|info|ping|script)\b/;

/** What the server has done since it was started, or its statistics were reset. */
export async function costSoFar(server: RedisServer): Promise<Cost> {
  const stats = await server.info("commandstats");
  const cpu = await server.info("cpu");
  const sumOf = (names: readonly string[], field: string) =>
    names
      .map((name) => Number(new RegExp(`\\b${field}=(\\d+)`).exec(stats.get(`cmdstat_${name}`) ?? "")?.[1] ?? 0))
      .reduce((sum, each) => sum + each, 0);
  const names = sumOf(SCRIPTS, "calls") > 0 ? SCRIPTS : PLAIN;
  const called = [...stats.keys()].filter((name) => !AROUND.test(name)).map((name) => name.replace("cmdstat_", ""));
  return {
    commands: sumOf(names, "calls"),
    microseconds: sumOf(names, "usec"),
    called: names === SCRIPTS ? sumOf(called, "usec") : 0,
    processor: (Number(cpu.get("used_cpu_user")) + Number(cpu.get("used_cpu_sys"))) * 1e6,
  };
}

/** What `run` costs for each of its decisions. */
export async function costOf(server: RedisServer, decisions: number, run: () => Promise<unknown>): Promise<Cost> {
  await server.control.config("RESETSTAT");
  const before = await costSoFar(server);
  await run();
  const after = await costSoFar(server);
  return {
    commands: after.commands / decisions,
    microseconds: after.microseconds / decisions,
    called: after.called / decisions,
    processor: (after.processor - before.processor) / decisions,
  };
}
