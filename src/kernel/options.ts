// Options are written once: a table says what each option may be and what it is by default. Checks and defaults follow from
// the table. The comment of an option says its meaning, range and default to users; a test compares the numbers.

import { checkOptionKeys, invalidOption, MisuseError } from "./errors.ts";

/** What one option may be. */
export interface Option<Value, Default = undefined> {
  /** For the fault of another value: `true or false`. */
  readonly expected: string;
  accepts(value: unknown): value is Value;
  readonly default: Default;
  readonly isRequired?: boolean;
  /** Faults do not show the value. */
  readonly isSecret?: boolean;
}

type Table = Readonly<Record<string, Option<unknown, unknown>>>;

/** A table with one entry for each option of an interface. */
export type TableOf<Options> = {
  readonly [Name in keyof Options]-?: Option<Exclude<Options[Name], undefined>, unknown>;
};

/** Options as they are given. */
export type OptionsOf<Options extends Table> = {
  readonly [Name in keyof Options]?: ValueOf<Options[Name]> | undefined;
};

export type SettledOptions<Options extends Table> = {
  readonly [Name in keyof Options]: ValueOf<Options[Name]> | DefaultOf<Options[Name]>;
};

type ValueOf<Each> = Each extends Option<infer Value, unknown> ? Value : never;
type DefaultOf<Each> = Each extends Option<unknown, infer Default> ? Default : never;

/**
 * Options with their defaults, once each is known to be right.
 *
 * @param path what leads to them, such as `bounds`
 * @throws MisuseError `invalid-option`
 */
export function readOptions<Options extends Table>(
  table: Options,
  options: unknown,
  path?: string,
): SettledOptions<Options> {
  checkOptionKeys(options, Object.keys(table), path);
  const given = options as Readonly<Record<string, unknown>>;
  const settled = Object.entries(table).map(([name, option]) => {
    const value = given[name];
    if ((value !== undefined || option.isRequired) && !option.accepts(value)) {
      const at = path === undefined ? name : `${path}.${name}`;
      const isHidden = option.isSecret === true && typeof value === "string" && value !== "";
      if (!isHidden) throw invalidOption(at, option.expected, value);
      throw new MisuseError("invalid-option", { path: at, expected: option.expected, got: "another text" });
    }
    return [name, value === undefined ? option.default : value];
  });
  return Object.fromEntries(settled) as SettledOptions<Options>;
}

/** A value that a function accepts. */
export function checked<Value, Default = undefined>(
  expected: string,
  accepts: (value: unknown) => boolean,
  byDefault?: Default,
): Option<Value, Default> {
  return { expected, accepts: accepts as (value: unknown) => value is Value, default: byDefault as Default };
}

export interface WholeOption<Default> extends Option<number, Default> {
  readonly min: number;
  readonly max: number;
}

export function whole<Default extends number | undefined = undefined>(
  min: number,
  max: number,
  byDefault?: Default,
): WholeOption<Default> {
  const isWhole = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max;
  return { ...checked<number, Default>(`a whole number from ${min} to ${max}`, isWhole, byDefault), min, max };
}

export function choice<const Word extends string>(words: readonly Word[], byDefault: Word): Option<Word, Word> {
  return checked(words.join(" or "), (value) => words.some((word) => word === value), byDefault);
}

export function flag(byDefault: boolean): Option<boolean, boolean> {
  return checked("true or false", (value) => typeof value === "boolean", byDefault);
}

export function nonEmpty<Default = undefined>(expected: string, byDefault?: Default): Option<string, Default> {
  return checked(expected, (value) => typeof value === "string" && value !== "", byDefault);
}

export function callback<Callback, Default = undefined>(byDefault?: Default): Option<Callback, Default> {
  return checked("a function", (value) => typeof value === "function", byDefault);
}

/** An object with a method. */
export function having<Value>(method: string, expected: string): Option<Value> {
  return checked(expected, (value) => {
    return typeof value === "object" && value !== null && typeof Reflect.get(value, method) === "function";
  });
}

/** A value that is checked elsewhere. */
export function unchecked<Value, Default = undefined>(byDefault?: Default): Option<Value, Default> {
  return checked("", () => true, byDefault);
}

/** An option that must be given. */
export function required<Value>(each: Option<Value>): Option<Value, never> {
  return { ...each, default: undefined as never, isRequired: true };
}
