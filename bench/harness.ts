// What any measurement needs: medians, tables, and where it all was measured. It knows no contender.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] ?? Number.NaN)) / 2;
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
