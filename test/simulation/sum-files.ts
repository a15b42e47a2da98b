// Files with sums of long runs: a line of JSON for each part of the schedules.

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { Totals } from "./totals.ts";

interface SumLine {
  readonly seed: string;
  /** The first of `totals.schedules` schedules. */
  readonly first: number;
  readonly totals: Totals;
}

export function appendSum(file: string, line: SumLine): void {
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}

/** The lines of a file, none if there is no such file. */
export function readSums(file: string): SumLine[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line));
}
