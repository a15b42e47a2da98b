// What schemas of files are built from: objects, maps, texts and amounts whose faults say what was expected.

import * as v from "valibot";
import { parseQuantity, QUANTITY_PATTERN, type QuantityText } from "../quantity.ts";
import { listed } from "../words.ts";
import { type Entries, mapOf, objectOf, type Schema, wholeNumber, wordOf } from "./schema-kinds.ts";

/** An object with these keys alone. */
export function object<const Shape extends Entries>(what: string, entries: Shape) {
  return objectOf(what, entries, "refuse");
}

export function text(pattern: RegExp, error: string) {
  return v.pipe(v.string(error), v.regex(pattern, error));
}

/** A text that fits a pattern, and that is right. Another text is not even of this kind: a union reports what all kinds expect. */
export function checkedText<Text extends string = string>(
  pattern: RegExp,
  error: string,
  isRight: (text: string) => boolean,
): Schema<Text> {
  return v.pipe(v.string(error), fits(pattern, error), v.check(isRight, error)) as Schema as Schema<Text>;
}

function fits(pattern: RegExp, error: string): v.RegexAction<string, string> {
  const regex = v.regex<string, string>(pattern, error);
  return {
    ...regex,
    "~run"(dataset, config) {
      const found = regex["~run"](dataset, config);
      return found.issues === undefined ? found : { ...found, typed: false };
    },
  };
}

export function whole(min: number, max: number, error = `a whole number from ${min} to ${max}`) {
  return v.pipe(wholeNumber(error), v.minValue(min, error), v.maxValue(max, error));
}

export function integer(error: string) {
  return whole(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, error);
}

export function oneOf<const Word extends string>(...words: readonly Word[]) {
  return wordOf(listed(words, "or"), words);
}

export function listOf<Value extends Schema>(value: Value, error: string, max: number, things: string) {
  return v.pipe(v.array(value, error), v.maxLength(max, `at most ${max} ${things}`));
}

/** An object used as a map; `max` bounds what one file can make a process hold. */
export function map<Value extends Schema>(key: Schema<string>, value: Value, what: string, max: number) {
  const error = `${what}, at most ${max} entries`;
  return v.pipe(
    mapOf(error, key, value),
    v.check((entries) => Object.keys(entries).length <= max, error),
  );
}

/** A whole number, or a text such as `200k` or `$0.05`. */
export function amount(min: number, error: string) {
  const isEnough = (value: string) => (parseQuantity(value) ?? -1) >= min;
  const written = checkedText<QuantityText>(QUANTITY_PATTERN, error, isEnough);
  return v.union([whole(min, Number.MAX_SAFE_INTEGER, error), written], error);
}
