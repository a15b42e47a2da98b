// What schemas of bodies are built from. What only the OpenAPI document says, names and descriptions, costs nothing when a
// value is checked.

import * as v from "valibot";
import { type Entries, mapOf, objectOf, type Schema, wholeNumber } from "../kernel/policy/schema-kinds.ts";

export const text = v.string("a text");
export const truth = v.boolean("true or false");

export function textOf(min: number, max: number) {
  return v.pipe(text, v.minLength(min, `a length of at least ${min}`), v.maxLength(max, `a length of at most ${max}`));
}

export const nonEmpty = v.pipe(text, v.minLength(1, "a length of at least 1"));

export function whole(min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER) {
  return v.pipe(wholeNumber("a whole number"), v.minValue(min, `at least ${min}`), v.maxValue(max, `at most ${max}`));
}

export function listOf<Item extends Schema>(item: Item) {
  return v.array(item, "a list");
}

export function listTo<Item extends Schema>(max: number, item: Item) {
  return v.pipe(listOf(item), v.minLength(1, "a length of at least 1"), v.maxLength(max, `a length of at most ${max}`));
}

/** An object of a request: words that it does not know are refused with those that it knows. */
export function closed<const Shape extends Entries>(entries: Shape) {
  return objectOf("an object", entries, "refuse");
}

/** An object of an answer: a later service may send more fields. */
export function open<const Shape extends Entries>(entries: Shape) {
  return objectOf("an object", entries, "ignore");
}

export function mapTo<Value extends Schema>(value: Value, what: string) {
  return mapOf(what, text, value);
}

/** Gives a schema of the document a name, and perhaps a description. */
export function named<Of extends Schema>(id: string, schema: Of, description?: string): Of {
  return noted(schema, v.metadata({ id, ...(description === undefined ? {} : { description }) }));
}

export function described<Of extends Schema>(schema: Of, description: string): Of {
  return noted(schema, v.description(description));
}

/** Adds a note to the pipe from which the document is made, but not to what reads values. */
function noted<Of extends Schema>(schema: Of, note: v.GenericMetadata): Of {
  const { pipe = [schema] } = schema as { readonly pipe?: readonly unknown[] };
  return { ...schema, pipe: [...pipe, note] };
}
