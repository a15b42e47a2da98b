// What a call's arguments, or a tool's result, are as one short text: equal when they say the same, whatever the order of
// keys and the form of numbers. Only that hash gets into keys and states. What one value may cost is bounded.

import { formatGot, MisuseError } from "./errors.ts";
import { digest } from "./key.ts";

/** Deepest nesting that is hashed: arguments below it are refused, results are cut off. */
export const MAX_DEPTH = 64;
/** Most values that are hashed: objects, lists, and everything in them. */
export const MAX_VALUES = 20_000;
/** Most characters of strings that are hashed, and of a text that is read as JSON. */
export const MAX_CHARACTERS = 1_048_576;
/** Stands for everything behind a bound. No JSON text contains it outside of a string. */
const CUT = "…";
const NOTHING_VOLATILE: ReadonlySet<string> = new Set();

/** Arguments of which only the hash is there, as of a call that was recorded. */
export class KnownArgs {
  readonly #digest: string;

  constructor(digest: string) {
    this.#digest = digest;
  }

  get digest(): string {
    return this.#digest;
  }

  /** Not by `instanceof`, which a value may answer by a function of its own. */
  static is(value: unknown): value is KnownArgs {
    return typeof value === "object" && value !== null && #digest in value;
  }
}

/**
 * The hash of a call's arguments, 32 hexadecimal digits. No arguments, and a value that JSON leaves out, count as `{}`. A text
 * that is an object or a list in JSON, as models write it, counts as that.
 *
 * @param volatile fields of the outermost object that are left out
 * @throws MisuseError `invalid-call` for arguments that pass a bound, contain a cycle, throw when they are read, or contain an
 *   object whose content JSON leaves out, such as an `ArrayBuffer`
 */
export function argsDigest(args: unknown, volatile: ReadonlySet<string> = NOTHING_VOLATILE): string {
  return KnownArgs.is(args) ? args.digest : digest(argsText(args, volatile));
}

/** The text that `argsDigest` hashes: JSON, keys in the order of their code units. */
export function argsText(args: unknown, volatile: ReadonlySet<string> = NOTHING_VOLATILE): string {
  const writer = new Writer(volatile, "refuse");
  try {
    return writer.textOf(args ?? {});
  } catch (error) {
    const bounds = `at most ${MAX_DEPTH} levels, ${MAX_VALUES} values and ${MAX_CHARACTERS} characters`;
    const expected = `what can be written as JSON, with ${bounds}`;
    const got = writer.refusal ?? `a value that threw when it was read: ${formatGot(error)}`;
    throw new MisuseError("invalid-call", { path: "args", expected, got });
  }
}

/**
 * The hash of a result. What lies behind a bound does not count.
 *
 * @returns `error` is what the result threw when it was read, in which case all such results have one hash; else `null`
 */
export function resultDigest(result: unknown): { readonly outcome: string; readonly error: unknown } {
  try {
    return { outcome: digest(new Writer(NOTHING_VOLATILE, "cut").textOf(result ?? {})), error: null };
  } catch (error) {
    return { outcome: "unreadable", error: error ?? new TypeError("the result threw nothing when it was read") };
  }
}

/** Whether a value could be hashed as arguments are. */
export function isWithinBounds(value: unknown): boolean {
  try {
    new Writer(NOTHING_VOLATILE, "refuse").textOf(value ?? {});
    return true;
  } catch {
    return false;
  }
}

/**
 * A value as JSON has one: a bigint as the number that it equals, beyond 2^53 - 1 as a string of its digits; a map as the
 * list of its entries, a set as that of its values. Everything else stays as it is.
 */
export function jsonValue(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Map || value instanceof Set) return [...value];
  return value;
}

/** The kind of a built-in object that JSON writes as `{}` whatever it contains, such as `ArrayBuffer`; `null` for others. */
export function opaqueKind(object: object): string | null {
  if (Array.isArray(object) || Object.keys(object).length > 0) return null;
  const kind = Object.prototype.toString.call(object).slice("[object ".length, -1);
  return kind === "Object" ? null : kind;
}

export function leftOut(kind: string): string {
  return `an object of the kind ${kind}, whose content JSON leaves out`;
}

/** Writes a value as JSON, keys in the order of their code units, within bounds. */
class Writer {
  readonly #volatile: ReadonlySet<string>;
  readonly #over: "refuse" | "cut";
  /** What of each bound is left. */
  readonly #left = { values: MAX_VALUES, characters: MAX_CHARACTERS };
  /** Why the value was refused: mostly the bound that it passes. */
  refusal: string | null = null;

  /** @param over what happens to a value that passes a bound */
  constructor(volatile: ReadonlySet<string>, over: "refuse" | "cut") {
    this.#volatile = volatile;
    this.#over = over;
  }

  textOf(value: unknown): string {
    return this.#text("", parsed(value), 0) ?? "{}";
  }

  /** A value as text; `undefined` for what JSON leaves out. */
  #text(key: string, given: unknown, depth: number): string | undefined {
    const value = unwrapped(key, given);
    switch (typeof value) {
      case "string":
        return this.#string(value);
      case "number":
        return Number.isFinite(value) ? String(value + 0) : "null";
      case "boolean":
        return String(value);
      case "object":
        if (value === null) return "null";
        if (depth === MAX_DEPTH) return this.#cut(`more than ${MAX_DEPTH} levels, or a cycle`);
        return Array.isArray(value) ? this.#list(value, depth) : this.#object(value, depth);
      default:
        return undefined;
    }
  }

  #string(value: string): string {
    const within = this.#take("characters", value.length);
    const text = JSON.stringify(value.slice(0, within));
    return within === value.length ? text : text + this.#cut(`more than ${MAX_CHARACTERS} characters`) + value.length;
  }

  #list(list: readonly unknown[], depth: number): string {
    const { length } = list;
    const within = this.#take("values", length);
    const texts: string[] = [];
    for (let i = 0; i < within; i++) texts.push(this.#text(String(i), list[i], depth + 1) ?? "null");
    if (within < length) texts.push(this.#cut(`more than ${MAX_VALUES} values`) + length);
    return `[${texts.join()}]`;
  }

  #object(object: object, depth: number): string {
    const keys = Object.keys(object);
    const kind = this.#over === "refuse" ? opaqueKind(object) : null;
    if (kind !== null) this.#cut(leftOut(kind));
    const within = this.#take("values", keys.length);
    const texts: string[] = [];
    for (const key of keys.slice(0, within).sort()) {
      if (depth === 0 && this.#volatile.has(key)) continue;
      const text = this.#text(key, object[key as keyof object], depth + 1);
      if (text !== undefined) texts.push(`${this.#string(key)}:${text}`);
    }
    if (within < keys.length) texts.push(this.#cut(`more than ${MAX_VALUES} values`) + keys.length);
    return `{${texts.join()}}`;
  }

  /** How many of so many are within a bound. */
  #take(bound: "values" | "characters", wanted: number): number {
    const within = Math.min(wanted, this.#left[bound]);
    this.#left[bound] -= within;
    return within;
  }

  #cut(what: string): string {
    if (this.#over === "cut") return CUT;
    this.refusal = what;
    throw new RangeError(what);
  }
}

function parsed(value: unknown): unknown {
  if (typeof value !== "string" || value.length > MAX_CHARACTERS || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** What JSON writes of a value: what its `toJSON` returns, and the primitive in a wrapper object. */
function unwrapped(key: string, value: unknown): unknown {
  if (value === null || (typeof value !== "object" && typeof value !== "bigint")) return value;
  const json = (value as { readonly toJSON?: unknown }).toJSON;
  const said = typeof json === "function" ? json.call(value, key) : value;
  const isBoxed = [Number, String, Boolean, BigInt].some((box) => said instanceof box);
  return jsonValue(isBoxed ? said.valueOf() : said);
}
