// Texts of JSON: one value, or one a line.

export type Fields = Readonly<Record<string, unknown>>;

/** A value, and the line it begins on, from 1. */
export interface JsonValue {
  readonly line: number;
  readonly value: unknown;
}

/** The values of a text, and how many lines are no JSON. A text that is one value, over several lines, is that value. */
export function jsonValuesIn(text: string): { readonly values: readonly JsonValue[]; readonly broken: number } {
  const whole = parsedJson(text);
  if (whole !== undefined) return { values: [{ line: 1, value: whole }], broken: 0 };
  const lines = text.split("\n").flatMap((json, i) => (json.trim() === "" ? [] : [{ json, line: i + 1 }]));
  const values = lines.flatMap(({ json, line }) => {
    const value = parsedJson(json);
    return value === undefined ? [] : [{ line, value }];
  });
  return { values, broken: lines.length - values.length };
}

export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A value that is a text in JSON, as the value that it says; any other one as it is. */
export function unwrapped(value: unknown): unknown {
  return typeof value === "string" && /^\s*[[{]/.test(value) ? (parsedJson(value) ?? value) : value;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A text that is not empty; `undefined` for anything else. */
export function textIn(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The parts of an object that say something. */
export function said<Part extends object>(parts: Part): Part {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as Part;
}
