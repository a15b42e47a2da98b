// `tollgate simulate --html`: the report in a file.

import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { Comparison } from "../simulate/comparison.ts";
import { type Reported, reportPage } from "../simulate/report/report.ts";
import type { Series } from "../simulate/report/series.ts";
import type { SimulationResult } from "../simulate/tally.ts";
import { writing } from "./files.ts";
import type { Injected } from "./simulate-inject.ts";
import { CANNOT_REACT } from "../simulate/notes.ts";

interface Shown {
  /** The files of the policies. */
  readonly names: readonly string[];
  readonly policies: readonly CompiledPolicy[];
  readonly results: readonly SimulationResult[];
  readonly series: readonly Series[];
  readonly comparison: Comparison;
  readonly injected: Injected | null;
}

export function writeReport(file: string, trace: string, shown: Shown, notes: readonly string[]): void {
  const { names, policies, results, series, comparison, injected } = shown;
  const reported = policies.map((policy, i) => ({
    name: basename(names[i] ?? ""),
    policy,
    result: results[i],
    series: series[i],
    runaways: injected?.results[i] ?? null,
  })) as unknown as [Reported, Reported?];
  const page = reportPage({ trace: basename(trace), policies: reported, comparison, notes: [...notes, CANNOT_REACT] });
  writing(file, "--html", () => writeFileSync(file, page));
  console.error(`Wrote ${file}.`);
}
