// What makes the faults of a policy that was written by hand useful: what to write instead of words that are misspelt, old, or
// of another tool. It is not part of the core: files are read with it, and `definePolicy` leaves it out.

import { formatGot } from "../errors.ts";
import { type PolicyFault, policyFault } from "./contradictions.ts";
import { hintForKey, misplacement } from "./hints.ts";
import { type OldWord, oldWordsIn } from "./old-words.ts";
import { valueAt } from "./place.ts";
import { hintForName, hintForValue } from "./value-hints.ts";

/** Most faults for which a hint is looked for. */
const MAX_HINTS = 100;

/**
 * Faults with hints.
 *
 * @param faults what the schema found
 * @param contradictions what else contradicts itself
 */
export function hintedFaults(
  faults: readonly PolicyFault[],
  contradictions: readonly PolicyFault[],
  input: unknown,
): PolicyFault[] {
  const old = faults.length === 0 ? [] : oldWordsIn(input);
  const hinted = [...faultsBeside(old, withHints(faults, input)), ...withHints(contradictions, input)];
  const unknown = hinted.filter(({ isKey, hint }) => isKey === true && hint !== undefined);
  return [...old.map((word) => oldFault(word, input)), ...hinted.filter((fault) => !isMisspelt(fault, unknown))];
}

function withHints(faults: readonly PolicyFault[], input: unknown): PolicyFault[] {
  return faults.map((fault, n) => (n < MAX_HINTS ? withHint(fault, input) : fault));
}

function withHint(fault: PolicyFault, input: unknown): PolicyFault {
  const { keys, isKey = false, isUnknown = false, choices = [] } = fault;
  if (!isUnknown) {
    const hint = isKey ? hintForName(keys) : hintForValue(keys, input, choices);
    return hint === null ? fault : { ...fault, hint };
  }
  const hint = hintForKey(keys, input);
  if (hint === null) return fault;
  // With a hint, a list of all keys is only in the way.
  const [expected, got] = misplacement(keys, input) ?? ["a known key", formatGot(keys.at(-1))];
  return { ...fault, expected, got, hint };
}

function oldFault({ keys, edit, hint }: OldWord, input: unknown): PolicyFault {
  if (keys.at(-1) === "quotas") {
    const fault = policyFault(keys, "quotas by dimension and value", formatGot(valueAt(input, keys)));
    return { ...fault, hint, isKey: true, isOld: edit !== null };
  }
  const isKey = typeof keys.at(-1) === "string" && keys.at(-1) !== "algorithm";
  const got = formatGot(isKey ? keys.at(-1) : valueAt(input, keys));
  return { ...policyFault(keys, "a current word", got), hint, isKey, isOld: true };
}

/** The faults that are not about old words, or about what these make of the policy. */
function faultsBeside(old: readonly OldWord[], faults: readonly PolicyFault[]): PolicyFault[] {
  const known = new Set(
    old.flatMap(({ keys, edit }) => {
      const to = edit === null || edit === "remove" || edit.to === null ? [] : [[...keys.slice(0, -1), edit.to[0]]];
      return [keys, ...to].map((each) => JSON.stringify(each));
    }),
  );
  return faults.filter(({ keys }) => !keys.some((_, n) => known.has(JSON.stringify(keys.slice(0, n + 1)))));
}

/** Whether a key is missing because it stands there under another name, as a hint says. */
function isMisspelt({ keys, got, hint }: PolicyFault, unknown: readonly PolicyFault[]): boolean {
  if (got !== "nothing" || hint === undefined) return false;
  const [parent, key] = [keys.slice(0, -1).join(), String(keys.at(-1))];
  const named = new RegExp(`["\\s]${key}["\\s:]`);
  return unknown.some((other) => other.keys.slice(0, -1).join() === parent && named.test(other.hint ?? ""));
}
