// A part of a policy as it is written, right or wrong: which keys lead to it, what stands there, which limit is around it.

import { DURATION_PATTERN } from "../duration.ts";
import { listed } from "../words.ts";

export type Keys = readonly (string | number)[];

/** Longest text that is looked at: no name or number that was meant is longer. */
export const MAX_TEXT = 100;

/** A part of a policy that is wrong, and the limit around it. */
export interface Place {
  readonly key: string;
  readonly value: unknown;
  readonly limit: Readonly<Record<string, unknown>>;
  readonly within: string;
  /** The values that are right, where there are only some. */
  readonly choices: readonly string[];
}

export function placeOf(keys: Keys, input: unknown, choices: readonly string[]): Place {
  return {
    key: String(keys.at(-1) ?? ""),
    value: valueAt(input, keys),
    limit: objectOr(keys[0] === "limits" ? valueAt(input, keys.slice(0, 2)) : undefined),
    within: String(keys.at(-2) ?? ""),
    choices,
  };
}

/** What stands where keys lead to; `undefined` where nothing does. */
export function valueAt(input: unknown, keys: Keys): unknown {
  let value = input;
  for (const key of keys) value = (value as Record<string, unknown> | null | undefined)?.[key];
  return value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value where it is an object; else one without keys. */
export function objectOr(value: unknown): Readonly<Record<string, unknown>> {
  return isObject(value) ? value : {};
}

/** The value where it is a list; else an empty one. */
export function listOr(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A word or a number as text; nothing for lists and objects, which may not be made a text (`{ toString: {} }`). */
export function textOf(value: unknown): string {
  return typeof value === "object" || typeof value === "function" ? "" : String(value);
}

/** A name or a number as YAML has it. */
export function shown(name: unknown): string {
  if (typeof name === "number") return String(name);
  const text = textOf(name);
  return /^[A-Za-z][\w.:-]*\*?$/.test(text) ? text : JSON.stringify(text.slice(0, MAX_TEXT));
}

/** Most entries of a list or an object that a hint repeats. */
const MAX_ENTRIES = 3;

/** Entries as a hint has them, the first ones where there are many. */
export function entriesText(entries: readonly string[]): string {
  return entries.length <= MAX_ENTRIES ? entries.join(", ") : `${entries.slice(0, MAX_ENTRIES).join(", ")}, …`;
}

/** Some names as the list that follows a key, such as `: [a, b]`; nothing where they are none, or too many. */
export function namesText(value: unknown): string {
  const names = [value].flat();
  const areNames = names.length > 0 && names.length <= MAX_ENTRIES && names.every(isWord);
  return areNames ? `: [${names.map(shown).join(", ")}]` : "";
}

export function isWord(value: unknown): boolean {
  return typeof value === "string" && value.length <= MAX_TEXT;
}

/** Which algorithms have a window, and which one to choose. */
export function windowed(window: unknown): string {
  const span = typeof window === "string" && DURATION_PATTERN.test(window) ? window : "window";
  const choices = [
    `"algorithm: sliding-window" (at most the quota in any ${span})`,
    `"algorithm: fixed-window" (counts from zero every ${span})`,
    '"algorithm: token-bucket" (a steady rate with bursts)',
  ];
  return listed(choices, "or");
}
