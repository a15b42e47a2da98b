// `tollgate test`: does a policy decide as its tests say?

import { Command } from "commander";
import { Coverage } from "../testing/policy-test-coverage.ts";
import { type PolicyTestResult, runPolicyTests } from "../testing/policy-test-run.ts";
import { coverageLines, failureText } from "../testing/policy-test-text.ts";
import { EXIT, CommandError } from "./exit.ts";
import { findTestFiles, readTests, type TestFile } from "./test-files.ts";

interface TestOptions {
  readonly json?: boolean;
  readonly strict?: boolean;
}

interface Tested extends TestFile {
  readonly results: readonly PolicyTestResult[];
}

export function testCommand(): Command {
  return new Command("test")
    .description("run the tests of policies, in virtual time and without a store")
    .argument(
      "[files...]",
      "files of tests, and policies with tests (default: *.test.yaml and tollgate.yaml in this folder)",
    )
    .option("--strict", "exit with 1 also where no test reached a part of a policy")
    .option("--json", "print one JSON object on stdout, and nothing else there")
    .action(test);
}

async function test(files: readonly string[], { json = false, strict = false }: TestOptions): Promise<void> {
  const found = files.length > 0 ? files : findTestFiles(".");
  if (found.length === 0) {
    throw new CommandError(
      "there are no tests here: write tollgate.test.yaml, or tests in tollgate.yaml, or name a file",
    );
  }
  const tested: Tested[] = [];
  const coverages = new Map<string, Coverage>();
  for (const file of readTests(found)) {
    const coverage = coverages.get(file.policyFile) ?? new Coverage(file.policy);
    coverages.set(file.policyFile, coverage);
    tested.push({ ...file, results: await runPolicyTests(file.policy, file.tests, coverage) });
  }
  if (json) console.log(JSON.stringify(reportOf(tested, coverages)));
  else tell(tested, coverages);
  const isFailed = tested.some(({ results }) => failed(results) > 0);
  if (isFailed || (strict && [...coverages.values()].some(isPartial))) process.exitCode = EXIT.finding;
}

function tell(tested: readonly Tested[], coverages: ReadonlyMap<string, Coverage>): void {
  for (const { results, placeOf } of tested) {
    for (const [i, { name, failure }] of results.entries()) {
      if (failure !== null) console.log(`${failureText(name, failure, placeOf(i, failure.step))}\n`);
    }
  }
  for (const { file, results } of tested) console.log(`${file}: ${countText(results)}`);
  for (const [file, coverage] of coverages) {
    for (const line of coverageLines(coverage.limits())) console.log(`${file}: ${line}`);
  }
  if (tested.length > 1) console.log(countText(tested.flatMap(({ results }) => results)));
}

/** Whether no test reached some limit, or a part of one. */
function isPartial(coverage: Coverage): boolean {
  return coverage.limits().some(({ reached, unreached }) => !reached || unreached.length > 0);
}

function failed(results: readonly PolicyTestResult[]): number {
  return results.filter(({ failure }) => failure !== null).length;
}

function countText(results: readonly PolicyTestResult[]): string {
  const count = failed(results);
  const passed = `${results.length - count} passed`;
  return count === 0 ? passed : `${passed}, ${count} failed`;
}

function reportOf(tested: readonly Tested[], coverages: ReadonlyMap<string, Coverage>) {
  const results = tested.flatMap((file) => file.results);
  return {
    passed: results.length - failed(results),
    failed: failed(results),
    tests: tested.flatMap((each) => each.results.map((result, i) => testRow(each, result, i))),
    policies: [...coverages].map(([file, coverage]) => ({ file, limits: coverage.limits() })),
  };
}

function testRow({ file, placeOf }: Tested, { name, failure }: PolicyTestResult, i: number) {
  if (failure === null) return { file, name, passed: true, failure };
  const { step, atMs, did, nth, mismatches, decision } = failure;
  const at = placeOf(i, step);
  const verdicts = decision?.verdicts ?? null;
  return {
    file,
    name,
    passed: false,
    failure: { step: step + 1, at, atMs, did, call: nth?.n ?? 1, mismatches, verdicts },
  };
}
