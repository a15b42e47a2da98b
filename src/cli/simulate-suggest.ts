// `tollgate simulate --suggest`: writes a policy that fits a trace.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { invalidOption } from "../kernel/errors.ts";
import { amount, grouped } from "../kernel/words.ts";
import type { TracedCall } from "../simulate/traced-call.ts";
import { crossCheck } from "../simulate/suggest/cross-check.ts";
import { effectsOn, type Suggestion, suggest } from "../simulate/suggest/suggest.ts";
import { FIRST_LINE, yamlOf } from "../simulate/suggest/yaml.ts";
import { writing } from "./files.ts";

/**
 * Writes the policy that a trace suggests.
 *
 * @returns what to say about it
 * @throws MisuseError for a file that was written by hand, and for a trace that nothing can be learned from
 */
export async function writeSuggestion(
  calls: readonly TracedCall[],
  trace: string,
  file: string,
): Promise<{ readonly suggestion: Suggestion; readonly lines: readonly string[] }> {
  checkOwn(file);
  const suggestion = suggest(calls, trace);
  const text = yamlOf(suggestion, await effectsOn(suggestion, calls), trace);
  writing(file, "--suggest", () => writeFileSync(file, text));
  return { suggestion, lines: await linesAbout(suggestion, calls, trace, file) };
}

async function linesAbout(
  { limits, learnedFrom, isOutcomeKnown, mode }: Suggestion,
  calls: readonly TracedCall[],
  trace: string,
  file: string,
): Promise<string[]> {
  const from = `${amount(learnedFrom, "sessions")}${isOutcomeKnown ? " that succeeded" : ""}`;
  const lines = [`Wrote ${file}: ${amount(limits.length, "limits")}, learned from ${from}.`];
  if (mode !== "enforce") {
    lines.push(`It denies nothing yet (mode: ${mode}); its first lines say why.`);
  }
  const checked = await crossCheck(calls, trace);
  if (checked !== null) {
    const { halves, denied, calls: unseen } = checked;
    lines.push(
      `Policies learned from ${halves} random halves of these sessions denied ${grouped(denied)} of ${amount(unseen, "calls")} in the other halves.`,
    );
  }
  return lines;
}

/** Refuses to replace a file that is not a suggestion. */
function checkOwn(file: string): void {
  if (!existsSync(file)) return;
  const text = writing(file, "--suggest", () => readFileSync(file, "utf8"));
  if (text.startsWith(FIRST_LINE)) return;
  throw invalidOption("--suggest", "a new file, or one that an earlier --suggest wrote", file);
}
