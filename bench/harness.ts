// What any comparison needs: interleaved and checked rounds, medians, seeded chance, and where it all was measured.
// It knows no contender.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** One way to decide the same calls. */
export interface Contender {
  /** Contenders of one group do the same work; the first of a group is what the others are compared with. */
  readonly group: string;
  readonly name: string;
  /** How many calls it must admit, by its own rule. */
  readonly expected: number;
  /** Makes a fresh state, which each round has. Neither this nor `close` is timed. */
  open(): Opened | Promise<Opened>;
}

export interface Opened {
  /** Decides all calls. Resolves with how many were admitted. */
  run(): Promise<number>;
  close(): Promise<void>;
}

/** What the rounds of one contender came to. */
export interface Speed {
  readonly group: string;
  readonly name: string;
  readonly admitted: number;
  /** Decisions per second, round by round. */
  readonly rounds: readonly number[];
  readonly median: number;
  /** The median of what each round was to the same round of its group's first. */
  readonly ratio: number;
}

/**
 * Runs all contenders in turn, round after round, after one round that only warms up: what disturbs the machine for a
 * while disturbs all of them.
 *
 * @throws Error when one admits another number of calls than it must
 */
export async function race(contenders: readonly Contender[], decisions: number, rounds: number): Promise<Speed[]> {
  const speeds = contenders.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    progress(round === 0 ? "warming up" : `round ${round} of ${rounds}`);
    for (const turn of contenders.keys()) {
      // Each round begins with another one, so that none is always the first.
      const i = (turn + round) % contenders.length;
      const seconds = await timed(contenders[i] as Contender);
      if (round > 0) speeds[i]?.push(decisions / seconds);
    }
  }
  return contenders.map(({ group, name, expected }, i) => {
    const own = speeds[i] ?? [];
    const first = speeds[contenders.findIndex((each) => each.group === group)] ?? [];
    const ratio = median(own.map((speed, round) => speed / (first[round] ?? Number.NaN)));
    return { group, name, admitted: expected, rounds: own.map(Math.round), median: median(own), ratio };
  });
}

async function timed(contender: Contender): Promise<number> {
  const opened = await contender.open();
  try {
    collectGarbage();
    const startedMs = performance.now();
    const admitted = await opened.run();
    const seconds = (performance.now() - startedMs) / 1_000;
    if (admitted !== contender.expected) {
      const { group, name, expected } = contender;
      throw new Error(`${group}, ${name}: admitted ${admitted} calls, must admit ${expected}`);
    }
    return seconds;
  } finally {
    await opened.close();
  }
}

// Asked for at run time, so that no command line must remember a flag.
setFlagsFromString("--expose-gc");
export const collectGarbage: () => void = runInNewContext("gc");

/** How much the heap grows by what `make` returns, in bytes. Only for a process that does nothing else. */
export async function heapOf(make: () => Promise<unknown>): Promise<number> {
  const kept: unknown[] = [];
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  kept.push(await make());
  collectGarbage();
  const after = process.memoryUsage().heapUsed;
  // Named once more after the measurement: otherwise it may be collected before.
  return kept.length > 0 ? after - before : Number.NaN;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] ?? Number.NaN)) / 2;
}

/** Numbers from 0 up to, not including, 1: the same ones for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Where, when and from what a run was made. `command` without its arguments; `engine` is what keeps the state. */
export function circumstances(command: string, engine: string, packages: readonly string[]) {
  const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8" }).trim();
  const changed = git("status", "--porcelain", "--", "src", "bench", "package.json").length > 0;
  const versionOf = (name: string) => {
    const url = name === "tollgate" ? "../package.json" : `../node_modules/${name}/package.json`;
    return JSON.parse(readFileSync(new URL(url, import.meta.url), "utf8")).version as string;
  };
  const args = process.argv.slice(2).join(" ");
  return {
    measuredAt: new Date().toISOString(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(2)),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
    engine,
    packages: Object.fromEntries(packages.map((name) => [name, versionOf(name)])),
    commit: `${git("rev-parse", "--short", "HEAD")}${changed ? " with changes that are not committed" : ""}`,
    command: `${command}${args === "" ? "" : ` ${args}`}`,
  };
}

/** The same as lines of Markdown, and what was done. */
export function aboutLines(about: ReturnType<typeof circumstances>, work: string): string {
  const packages = Object.entries(about.packages).map(([name, version]) => `${name} ${version}`);
  return [
    `- Machine: ${about.cpu}, ${about.cores} cores, ${about.memoryGiB} GiB, ${about.platform}, load ${about.loadBefore} before`,
    `- Versions: Node ${about.node}, ${about.engine}, ${packages.join(", ")}`,
    `- Commit: ${about.commit}, ${about.measuredAt}`,
    `- Command: \`${about.command}\``,
    `- Work: ${work}`,
  ].join("\n");
}

export const number = (value: number) => Math.round(value).toLocaleString("en-US");

/** A table for each group. The first of each must be Tollgate. */
export function speedTables(speeds: readonly Speed[]): string[] {
  return [...Map.groupBy(speeds, ({ group }) => group)].map(([group, speeds]) => {
    const rows = speeds.map(({ name, median, rounds, ratio, admitted }) => {
      const spread = `${number(Math.min(...rounds))} to ${number(Math.max(...rounds))}`;
      return [name, number(median), spread, ratio.toFixed(2), number(admitted)];
    });
    return table([group, "decisions/s", "slowest to fastest round", "to Tollgate", "admitted"], rows);
  });
}

/** A table that reads well in a terminal and is a table in Markdown; columns after the first are right-aligned. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, i) => Math.max(name.length, 4, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

/** On stderr: stdout is the result's alone. */
export function progress(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}
