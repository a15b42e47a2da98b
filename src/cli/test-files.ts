// Files with policy tests: policies with tests of their own, and files of tests that name their policy.

import { existsSync, readdirSync } from "node:fs";
import { dirname, isAbsolute, join, normalize } from "node:path";
import { type Fault, MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { type PolicyFault, writtenPolicy } from "../kernel/policy/parse.ts";
import { isObject } from "../kernel/policy/place.ts";
import { readPolicyText } from "../policy-file/text.ts";
import { MAX_FAULTS, readYaml, type YamlText } from "../policy-file/yaml-text.ts";
import { readPolicyTests, readTestFile } from "../testing/policy-test-faults.ts";
import type { PolicyTest } from "../testing/policy-test-input.ts";
import { LOCAL_POLICY } from "./defaults.ts";
import { readInput } from "./files.ts";

/** The tests of one file. */
export interface TestFile {
  readonly file: string;
  /** The file of the policy: `file` itself, or the one that it names. */
  readonly policyFile: string;
  readonly policy: CompiledPolicy;
  readonly tests: readonly PolicyTest[];
  /** Where a step stands: `tollgate.test.yaml:7:9`. */
  readonly placeOf: (test: number, step: number) => string;
}

/** The files of a folder that have tests: `*.test.yaml` and `*.test.yml`, and `tollgate.yaml` where that has tests. */
export function findTestFiles(folder: string): string[] {
  const files = readdirSync(folder)
    .filter((name) => /\.test\.ya?ml$/.test(name))
    .sort();
  const policy = join(folder, LOCAL_POLICY);
  if (!existsSync(policy)) return files;
  const { value } = readYaml(readInput(policy), LOCAL_POLICY, "invalid-policy");
  return isObject(value) && value.tests !== undefined ? [...files, LOCAL_POLICY] : files;
}

/**
 * Reads files of tests, and policies with tests. Files with the same policy get the same object.
 *
 * @throws MisuseError with every fault of the tests and of the policies, at most 100; CommandError
 */
export function readTests(files: readonly string[]): TestFile[] {
  const policies = new Map<string, ReadPolicy>();
  const faults: Fault[] = [];
  const read = files.flatMap((file) => {
    try {
      return [readTestsOf(file, policies)];
    } catch (error) {
      if (!MisuseError.isInstance(error)) throw error;
      faults.push(...error.faults);
      return [];
    }
  });
  if (faults.length > 0) throw new MisuseError("invalid-policy", faults.slice(0, MAX_FAULTS));
  return read;
}

/** Whether a text is a file of tests, right or wrong, and no policy. */
export function isTestFile(text: string, file: string): boolean {
  return isOfTests(readYaml(text, file, "invalid-policy").value);
}

function isOfTests(value: unknown): value is Record<string, unknown> {
  const has = (key: string) => isObject(value) && Object.hasOwn(value, key);
  return has("tests") && !has("version") && !has("limits");
}

/** Throws for tests of a policy that are wrong; a policy needs none. */
export function checkOwnTests(policy: CompiledPolicy, at: YamlText["at"]): void {
  const { tests } = writtenPolicy(policy);
  if (tests !== undefined) checkedTests(tests, policy, at);
}

type ReadPolicy = ReturnType<typeof readPolicyText>;

function readTestsOf(file: string, policies: Map<string, ReadPolicy>): TestFile {
  const text = readInput(file);
  const { value, at } = readYaml(text, file, "invalid-policy");
  const placeOf = (test: number, step: number) => at(["tests", test, "steps", step]);
  if (!isOfTests(value)) {
    const policyFile = normalize(file);
    const { policy } = readOnce(policyFile, () => text, policies);
    const { tests } = writtenPolicy(policy);
    if (tests === undefined) {
      const expected = "tests in the policy, or a file such as tollgate.test.yaml that names it";
      throw new MisuseError("invalid-policy", { at: file, path: "tests", expected, got: "nothing" });
    }
    return { file, policyFile, policy, tests: checkedTests(tests, policy, at), placeOf };
  }
  const found = readTestFile(value);
  if ("faults" in found) throw misuse(found.faults, at);
  const { policy: named, tests } = found.value;
  const policyFile = isAbsolute(named) ? named : join(dirname(file), named);
  const { policy } = readOnce(policyFile, () => readInput(policyFile, at(["policy"])), policies);
  return { file, policyFile, policy, tests: checkedTests(tests, policy, at), placeOf };
}

function readOnce(file: string, text: () => string, policies: Map<string, ReadPolicy>): ReadPolicy {
  const known = policies.get(file) ?? readPolicyText(text(), file);
  policies.set(file, known);
  return known;
}

/** @throws MisuseError for tests that are wrong */
function checkedTests(tests: unknown, policy: CompiledPolicy, at: YamlText["at"]): readonly PolicyTest[] {
  const found = readPolicyTests(tests, policy);
  if ("faults" in found) throw misuse(found.faults, at);
  return found.value;
}

function misuse(faults: readonly PolicyFault[], at: YamlText["at"]): MisuseError {
  const placed = faults
    .slice(0, MAX_FAULTS)
    .map(({ keys, isKey, ...fault }): Fault => ({ ...fault, at: at(keys, isKey === true ? "key" : "value") }));
  return new MisuseError("invalid-policy", placed);
}
