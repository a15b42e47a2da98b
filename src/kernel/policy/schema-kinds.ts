// What the schema library lacks: objects, maps and choices that lose no key in silence, and whose faults say what was expected.
// Each has the type and the parts of the library's own kind, so that JSON schemas can be made from it.

import * as v from "valibot";
import { isObject, type Keys } from "./place.ts";

export type Schema<Output = unknown> = v.GenericSchema<unknown, Output>;
/** The schemas of an object's keys. */
export type Entries = v.ObjectEntries;
export type Output<Of extends Schema> = v.InferOutput<Of>;
export type ObjectSchema<Shape extends Entries> = Schema<Output<v.ObjectSchema<Shape, string>>> & {
  readonly entries: Shape;
};

/** What is wrong with a value, and the keys that lead to it. */
export interface SchemaFault {
  readonly keys: Keys;
  readonly expected: string;
  /** Keys of an object that it does not have; none where something else is wrong. */
  readonly unknown: readonly string[];
  /** Whether the last of `keys` is wrong, and not its value. */
  readonly isKey: boolean;
  /** The values that are right, where there are only some. */
  readonly choices: readonly unknown[];
}

/** A value as its schema copies it, or all that is wrong with it. */
export type Read<Value> = { readonly value: Value } | { readonly faults: readonly SchemaFault[] };

/** Of each part of a value, only the first fault counts. */
const FIRST = { abortPipeEarly: true };

export function readBy<Value>(schema: Schema<Value>, input: unknown): Read<Value> {
  const { success, output, issues } = v.safeParse(schema, input, FIRST);
  return success ? { value: output } : { faults: issues.map(faultOf) };
}

const UNKNOWN_KEYS = "unknown_keys";

function faultOf({ path, message, type, requirement }: v.BaseIssue<unknown>): SchemaFault {
  return {
    keys: (path ?? []).map(({ key }) => key as string | number),
    expected: message,
    unknown: type === UNKNOWN_KEYS ? (requirement as string[]) : [],
    isKey: path?.at(-1)?.origin === "key",
    choices: type === "picklist" ? (requirement as unknown[]) : [],
  };
}

/**
 * An object; `what` says which.
 *
 * @param others what becomes of other keys: they are refused, left out, or checked by a schema
 */
export function objectOf<const Shape extends Entries>(
  what: string,
  entries: Shape,
  others: "refuse" | "ignore" | Schema,
): ObjectSchema<Shape> {
  const parts = Object.entries(entries) as [name: string, schema: Schema][];
  const known = parts.filter(([, schema]) => canBe(schema)).map(([name]) => name);
  const only = `only ${known.join(", ")}`;
  const rest = typeof others === "string" ? undefined : others;
  const type = rest !== undefined ? "object_with_rest" : others === "refuse" ? "strict_object" : "object";
  const own = { type, message: what, entries, rest };
  return kind(own, (reading) => {
    const { input } = reading;
    if (!isObject(input)) return reading.fail(own);
    const read: Fields = {};
    reading.value = read;
    for (const [name, schema] of parts) reading.entry(read, input, name, schema);
    if (others === "ignore") return;
    const unknown = Object.keys(input).filter((name) => !Object.hasOwn(entries, name));
    if (rest !== undefined) for (const name of unknown) reading.named(read, input, name, ANY_NAME, rest);
    else if (unknown.length > 0) reading.fail({ type: UNKNOWN_KEYS, message: only, requirement: unknown });
  }) as ObjectSchema<Shape>;
}

const ANY_NAME = v.string();

/** Whether there is a value for a key. */
function canBe(schema: Schema): boolean {
  return !("wrapped" in schema && (schema.wrapped as Schema).type === "never");
}

/** An object used as a map. It keeps every name. */
export function mapOf<Value extends Schema>(
  what: string,
  key: Schema<string>,
  value: Value,
): Schema<Record<string, Output<Value>>> {
  const own = { type: "record", message: what, key, value };
  return kind(own, (reading) => {
    const { input } = reading;
    if (!isObject(input) || !isPlain(input)) return reading.fail(own);
    const read: Fields = {};
    reading.value = read;
    for (const name of Object.keys(input)) reading.named(read, input, name, key, value);
  });
}

/** Whether an object has no keys but its own: a `Map` would be read as an empty one. */
function isPlain(object: object): boolean {
  const prototype = Object.getPrototypeOf(object);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** A whole number. Another number is not even of this kind. */
export function wholeNumber(what: string): Schema<number> {
  return { ...v.custom<number>(Number.isInteger, what), type: "integer" } as Schema as Schema<number>;
}

/** One of these words or numbers. */
export function wordOf<const Word extends string | number>(what: string, words: readonly Word[]): WordSchema<Word> {
  return { ...v.picklist(words, what), requirement: words } as unknown as WordSchema<Word>;
}

type WordSchema<Word> = Schema<Word> & { readonly options: readonly Word[] };

/** Objects of several kinds, by the value of a key. `what` says what each is, `choices` what the key may be. */
export function variantOf<Key extends string, Option extends ObjectSchema<Record<Key, WordSchema<unknown>>>>(
  what: string,
  key: Key,
  choices: string,
  options: readonly Option[],
): Schema<Output<Option>> {
  const own = { type: "variant", message: what, options };
  const byWord = new Map(options.map((option) => [option.entries[key].options[0], option]));
  return kind(own, (reading) => {
    if (!isObject(reading.input)) return reading.fail(own);
    const option = byWord.get(reading.input[key]);
    if (option === undefined) return reading.fail({ ...own, message: choices }, stepTo(reading.input, key, "value"));
    reading.follow(option);
  });
}

/** Objects of several kinds, of which each has a key that no other has. */
export function unionByKey<Options extends Readonly<Record<string, Schema>>>(
  what: string,
  options: Options,
): Schema<Output<Options[keyof Options]>> {
  const own = { type: "union", message: what, options: Object.values(options) };
  return kind(own, (reading) => {
    const { input } = reading;
    const [first, ...more] = isObject(input) ? Object.keys(options).filter((key) => Object.hasOwn(input, key)) : [];
    if (first === undefined || more.length > 0) return reading.fail(own);
    reading.follow(options[first] as Schema);
  });
}

type Run = Schema["~run"];
type Config = Parameters<Run>[1];
type Issue = v.BaseIssue<unknown>;

interface Own {
  readonly type: string;
  readonly message: string;
  readonly requirement?: unknown;
}

function kind<Value>(own: Own, read: (reading: Reading) => void): Schema<Value> {
  const run: Run = ({ value }, config) => {
    const reading = new Reading(value, config);
    read(reading);
    return reading as ReturnType<Run>;
  };
  return { ...v.unknown(), reference: kind, expects: own.message, ...own, "~run": run } as never;
}

/** A value while it is read, as the library hands it from schema to schema. */
class Reading {
  readonly input: unknown;
  readonly #config: Config;
  typed = true;
  value: unknown;
  issues: Issue[] | undefined = undefined;

  constructor(input: unknown, config: Config) {
    this.input = input;
    this.value = input;
    this.#config = config;
  }

  /** @param step leads to what is wrong; absent: the whole value is */
  fail({ type, message, requirement }: Own, step?: v.ObjectPathItem): void {
    const { input } = this;
    const path = step && ([step] as [v.ObjectPathItem]);
    const issue: Issue = { kind: "schema", type, input, expected: null, received: "", message, requirement, path };
    // An object with a key too many is still one of its kind: a union of kinds reports the key.
    if (type !== UNKNOWN_KEYS) this.typed = false;
    this.issues ??= [];
    this.issues.push(issue);
  }

  /** Reads the value as another schema does. */
  follow(schema: Schema): void {
    const { typed, value, issues } = schema["~run"]({ value: this.input }, this.#config);
    Object.assign(this, { typed, value, issues });
  }

  /** Reads a key's value into an object. */
  entry(into: Fields, input: Fields, key: string, schema: Schema): void {
    const { typed, value, issues } = schema["~run"]({ value: input[key] }, this.#config);
    if (!typed) this.typed = false;
    if (value !== undefined || key in input) into[key] = value;
    if (issues === undefined) return;
    const step = stepTo(input, key, "value");
    this.issues ??= [];
    for (const issue of issues) this.issues.push({ ...issue, path: [step, ...(issue.path ?? [])] });
  }

  /** Reads a key and its value into an object. */
  named(into: Fields, input: Fields, key: string, name: Schema<string>, value: Schema): void {
    const [issue] = key === "__proto__" ? RESERVED : (name["~run"]({ value: key }, this.#config).issues ?? []);
    if (issue === undefined) this.entry(into, input, key, value);
    else this.fail({ type: "key", message: issue.message }, stepTo(input, key, "key"));
  }
}

type Fields = Record<string, unknown>;

/** A copy of an object would take the value of `__proto__` as its prototype. */
const RESERVED = [{ message: "another name" }];

function stepTo(input: Fields, key: string, origin: "key" | "value"): v.ObjectPathItem {
  return { type: "object", origin, input, key, value: input[key] };
}
