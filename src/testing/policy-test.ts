// Tests of a policy inside a test runner, which this does not know.

import { AssertionError } from "node:assert/strict";
import { MisuseError } from "../kernel/errors.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import { compiledPolicy, type Policy, writtenPolicy } from "../kernel/policy/parse.ts";
import { amount } from "../kernel/words.ts";
import { readPolicyTests } from "./policy-test-faults.ts";
import type { PolicyTest } from "./policy-test-input.ts";
import { runPolicyTests } from "./policy-test-run.ts";
import { failureText } from "./policy-test-text.ts";

/**
 * Runs tests of a policy in virtual time, as `tollgate test` does. For one test of the runner each, give it one at a time.
 *
 * @param tests default: those that the policy has itself
 * @throws AssertionError for tests that failed, with what they expected and found
 * @throws MisuseError `invalid-policy`; `invalid-option` for tests that are wrong
 *
 * @example
 * ```ts
 * import { testPolicy } from "tollgate/testing";
 *
 * const policy = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 2 }] } as const;
 * await testPolicy(policy, [
 *   {
 *     name: "a session has two calls",
 *     for: { session: "s1" },
 *     steps: [
 *       { call: "search", times: 2 },
 *       { call: "search", expect: "denied", by: "per-session", retryAfter: "never" },
 *     ],
 *   },
 * ]);
 * ```
 */
export async function testPolicy(policy: Policy | PolicyInput, tests?: readonly PolicyTest[]): Promise<void> {
  const known = compiledPolicy(policy);
  const read = readPolicyTests(tests ?? writtenPolicy(known).tests, known);
  if ("faults" in read) throw new MisuseError("invalid-option", read.faults);
  const results = await runPolicyTests(known, read.value);
  const texts = results.flatMap(({ name, failure }, i) =>
    failure === null ? [] : [failureText(name, failure, `tests[${i}].steps[${failure.step}]`)],
  );
  if (texts.length === 0) return;
  const count = `${texts.length} of ${amount(results.length, "policy tests")} failed`;
  throw new AssertionError({ message: `${count}\n\n${texts.join("\n\n")}`, stackStartFn: testPolicy });
}
