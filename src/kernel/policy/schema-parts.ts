// What schemas of files are built from: objects, maps, texts and amounts whose faults say what was expected.

import { z } from "zod";
import { parseQuantity, QUANTITY_PATTERN, type QuantityText } from "../quantity.ts";
import { listed } from "../words.ts";

/** An object with these keys alone. A key that can have no value is not listed. */
export function object<Shape extends z.ZodRawShape>(what: string, shape: Shape) {
  const isKey = (key: string) => !(shape[key] instanceof z.ZodOptional && shape[key].unwrap() instanceof z.ZodNever);
  const only = `only ${Object.keys(shape).filter(isKey).join(", ")}`;
  return z.strictObject(shape, { error: (issue) => (issue.code === "unrecognized_keys" ? only : what) });
}

export function text(pattern: RegExp, error: string) {
  return z.string({ error }).regex(pattern, { error });
}

export function whole(min: number, max: number, error = `a whole number from ${min} to ${max}`) {
  return z.int({ error }).min(min, { error }).max(max, { error });
}

export function oneOf<const Word extends string>(...words: readonly Word[]) {
  return z.enum(words, { error: listed(words, "or") });
}

export function listOf<Value extends z.ZodType>(value: Value, error: string, max: number, things: string) {
  return z.array(value, { error }).max(max, `at most ${max} ${things}`);
}

/** An object used as a map; `max` bounds what one file can make a process hold. */
export function map<Value extends z.ZodType>(key: z.ZodString, value: Value, what: string, max: number) {
  const error = `${what}, at most ${max} entries`;
  return z.record(key, value, { error }).refine((entries) => Object.keys(entries).length <= max, { error });
}

/** A whole number, or a text such as `200k` or `$0.05`. */
export function amount(min: number, error: string) {
  const isEnough = (value: string) => (parseQuantity(value) ?? -1) >= min;
  // The pattern lets only such texts through.
  const written = z
    .string({ error })
    .regex(QUANTITY_PATTERN, { error, abort: true })
    .refine(isEnough, { error }) as z.ZodType<QuantityText>;
  return z.union([z.int({ error }).min(min, { error }), written], { error });
}
