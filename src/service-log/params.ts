// Reads the query of a route by a table, from which its documentation is made, too. A name that the table lacks is refused.

import * as v from "valibot";
import { described, nonEmpty } from "../http/schema-parts.ts";
import { formatGot } from "../kernel/errors.ts";
import { type Entries, type ObjectSchema, objectOf } from "../kernel/policy/schema-kinds.ts";
import { invalidQuery } from "../service/problems.ts";

/** A parameter: what it is for, what it may be, and its value; `undefined`: the text is none. */
export interface Param<Value> {
  readonly about: string;
  readonly expected: string;
  read(text: string): Value | undefined;
}

type Table = Readonly<Record<string, Param<unknown>>>;

/** The values of a query. What is absent is not in it. */
export type ValuesOf<Of extends Table> = {
  readonly [Name in keyof Of]?: Of[Name] extends Param<infer Value> ? Value : never;
};

const MAX_TEXT = 1_000;

export function textParam(about: string): Param<string> {
  const expected = `a text of 1 to ${MAX_TEXT} characters`;
  return { about, expected, read: (text) => (text !== "" && text.length <= MAX_TEXT ? text : undefined) };
}

export function wholeParam(about: string, min = 0, max = Number.MAX_SAFE_INTEGER): Param<number> {
  const most = max === Number.MAX_SAFE_INTEGER ? "" : ` to ${max}`;
  return numberParam(about, /^\d{1,16}$/, min, max, `a whole number from ${min}${most}`);
}

export function shareParam(about: string, min: number): Param<number> {
  return numberParam(about, /^[01](?:\.\d{1,6})?$/, min, 1, `a number from ${min} to 1`);
}

export function choiceParam<const Word extends string>(about: string, ...words: readonly Word[]): Param<Word> {
  return { about, expected: words.join(" or "), read: (text) => words.find((word) => word === text) };
}

export function truthParam(about: string): Param<boolean> {
  return { about, expected: "true or false", read: (text) => ({ true: true, false: false })[text] };
}

function numberParam(about: string, form: RegExp, min: number, max: number, expected: string): Param<number> {
  return {
    about,
    expected,
    read(text) {
      const number = form.test(text) ? Number(text) : Number.NaN;
      return number >= min && number <= max ? number : undefined;
    },
  };
}

/** The values of a request's query. Throws ProblemError 400. */
export function readParams<const Of extends Table>(table: Of, url: string): ValuesOf<Of> {
  const values: Record<string, unknown> = {};
  for (const [name, text] of new URL(url).searchParams) {
    const param = Object.hasOwn(table, name) ? table[name] : undefined;
    if (param === undefined) throw invalidQuery(name, `one of ${Object.keys(table).join(", ")}`, formatGot(name));
    if (Object.hasOwn(values, name)) throw invalidQuery(name, "each name once", "it twice");
    const value = param.read(text);
    if (value === undefined) throw invalidQuery(name, param.expected, formatGot(text));
    values[name] = value;
  }
  return values as ValuesOf<Of>;
}

/** The query as the OpenAPI document says it. */
export function paramsSchema(table: Table): ObjectSchema<Entries> {
  const entries = Object.entries(table).map(([name, { about }]) => [name, described(v.optional(nonEmpty), about)]);
  return objectOf("an object", Object.fromEntries(entries) as Entries, "ignore") as ObjectSchema<Entries>;
}
