// What every benchmark needs: medians, tables, the circumstances of a run, and a bound for its time.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] ?? Number.NaN)) / 2;
}

/** The median of the ratios of two contenders, round by round. */
export function ratioOf(rounds: readonly number[], to: readonly number[]): number {
  return median(rounds.map((each, round) => each / (to[round] ?? Number.NaN)));
}

export const number = (value: number) => Math.round(value).toLocaleString("en-US");

export const spread = (values: readonly number[]) => `${number(Math.min(...values))} to ${number(Math.max(...values))}`;

/** A table for a terminal and for Markdown. Columns after the first are right-aligned. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, i) => Math.max(name.length, 4, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, i) => (i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

export type Circumstances = ReturnType<typeof circumstances>;

/** Machine, versions, commit and command of a run. `command` has no arguments; `engine` is what keeps the state. */
export function circumstances(command: string, engine: string, packages: readonly string[]) {
  const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8" }).trim();
  const isChanged = git("status", "--porcelain", "--", "src", "bench", "package.json").length > 0;
  const versionOf = (name: string): string => {
    const url = name === "tollgate" ? "../package.json" : `../node_modules/${name}/package.json`;
    return JSON.parse(readFileSync(new URL(url, import.meta.url), "utf8")).version;
  };
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
    commit: `${git("rev-parse", "--short", "HEAD")}${isChanged ? " with changes that are not committed" : ""}`,
    command: [command, ...process.argv.slice(2)].join(" "),
  };
}

/** The circumstances as lines of Markdown. `work` says what was done. */
export function aboutLines(about: Circumstances, work: string): string {
  const packages = Object.entries(about.packages).map(([name, version]) => `${name} ${version}`);
  return [
    `- Machine: ${about.cpu}, ${about.cores} cores, ${about.memoryGiB} GiB, ${about.platform}, load ${about.loadBefore} before`,
    `- Versions: Node ${about.node}, ${about.engine}, ${packages.join(", ")}`,
    `- Commit: ${about.commit}, ${about.measuredAt}`,
    `- Command: \`${about.command}\``,
    `- Work: ${work}`,
  ].join("\n");
}

/** How much of all cores is used while this run waits, 0 to 1: what other programs use. */
export async function usedByOthers(): Promise<number> {
  const before = coreTimes();
  await sleep(500);
  const after = coreTimes();
  return (after.used - before.used) / (after.all - before.all);
}

function coreTimes(): { readonly used: number; readonly all: number } {
  const times = cpus().map(({ times }) => times);
  const all = times.flatMap((core) => Object.values(core)).reduce((sum, each) => sum + each, 0);
  return { used: all - times.reduce((sum, { idle }) => sum + idle, 0), all };
}

export const percent = (share: number) => `${Math.round(share * 100)} %`;

/** Writes to stderr: stdout is for the result. */
export function progress(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

/** Ends a run that takes too long or is interrupted by `process.exit`, with which its servers end. */
export function boundRun(minutes: number): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
  setTimeout(() => {
    console.error(`The run did not end within ${minutes} minutes.`);
    process.exit(1);
  }, minutes * 60_000).unref();
}

/** The value of an option of the command line that takes whole numbers, separated by commas. */
export function wholeNumbers(option: string, text: string, max: number): number[] {
  const values = text.split(",").map(Number);
  if (/^\d+(,\d+)*$/.test(text) && values.every((value) => value >= 1 && value <= max)) return values;
  console.error(`${option}: expected whole numbers from 1 to ${max}, found ${text}`);
  process.exit(2);
}
