// Statements that the store runs again and again, with texts as their parameters, in the forms in which clients send them.

import { digest } from "../../kernel/key.ts";

/** A statement whose parameters are written `$1::text`, so that each client may send them in its own way. */
export interface Statement {
  /** The same for the same text alone: a prepared statement of this name is this statement, whichever program prepared it. */
  readonly name: string;
  readonly text: string;
}

/** A statement and its parameters. */
export interface Asked {
  readonly statement: Statement;
  readonly values: readonly string[];
}

/** @param word what the name of the prepared statement says of it */
export function statement(word: string, text: string): Statement {
  return { name: `tollgate_${word}_${digest(text)}`, text };
}

/** Texts as the text of an array. */
export function arrayOf(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
}

export function prepared({ name, text }: Statement): string {
  return `PREPARE ${name} AS ${text}`;
}

/** The statement as one that was prepared on the connection. */
export function executed({ statement: { name }, values }: Asked): string {
  return `EXECUTE ${name}(${values.map(literal).join(", ")})`;
}

/** The statement with its parameters in their places. */
export function inlined({ statement: { text }, values }: Asked): string {
  return text.replace(/\$(\d+)::text/g, (_, number) => `${literal(values[number - 1] ?? "")}::text`);
}

/** What means the same in SQL however the server reads backslashes in plain literals. */
const PLAIN = /^[\x20-\x7e]*$/;

/** A text as a literal. What is not plain goes in characters that mean nothing to SQL, in any encoding. */
function literal(text: string): string {
  if (PLAIN.test(text)) return `E'${text.replace(/['\\]/g, "$&$&")}'`;
  const bytes = new TextEncoder().encode(text);
  const base64 = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return `convert_from(decode('${base64}', 'base64'), 'UTF8')`;
}
