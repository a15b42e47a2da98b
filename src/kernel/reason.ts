// Why something failed, in one line. Drivers and Node keep it in several places: an `AggregateError` has an empty message, and
// what a client says ("Connection is closed.") often hides the cause.

import { formatGot } from "./errors.ts";

/** Longest reason, and deepest cause that is read, so that no error can fill a log. */
const MAX_REASON = 500;
const MAX_CAUSES = 4;
/** What names a fault, such as `ECONNREFUSED` or `CERT_HAS_EXPIRED`. */
const FAULT_CODE = /^(E[A-Z]{3,}|[A-Z]+(_[A-Z0-9]+)+)$/;

/**
 * Says why something failed, in one line of at most 500 characters: the message of an error, of each address that was tried
 * (`AggregateError`), and of its causes, with the code and the address where a message lacks them. It shows no password of a
 * URL.
 */
export function reasonOf(error: unknown): string {
  let [first = "", ...others] = sentencesOf(error, MAX_CAUSES);
  const more: string[] = [];
  for (const each of others.map((other) => other.replace(/\.$/, ""))) {
    // A cause may say the same, and more.
    if (each.includes(first.replace(/\.$/, ""))) first = each;
    else if (![first, ...more].some((said) => said.includes(each))) more.push(each);
  }
  const text = more.length === 0 ? first : `${first} (${more.join("; ")})`;
  return text.length > MAX_REASON ? `${text.slice(0, MAX_REASON - 1)}…` : text;
}

const FILE_REASONS: Readonly<Record<string, string>> = {
  EACCES: "this user has no right to it",
  EISDIR: "it is a folder",
  ENOENT: "there is no such file or folder",
  ENOTDIR: "a part of its path is no folder",
  EPERM: "this user has no right to it",
  EROFS: "its file system is read-only",
};

/** Says why a file cannot be used, in one line, without its path. */
export function fileReasonOf(error: unknown): string {
  const code = String((Object(error) as { readonly code?: unknown }).code);
  const known = Object.hasOwn(FILE_REASONS, code) ? FILE_REASONS[code] : undefined;
  return known === undefined ? reasonOf(error) : `${known} (${code})`;
}

function sentencesOf(error: unknown, depth: number): string[] {
  if (error === undefined || error === null || depth === 0) return [];
  if (typeof error === "string") return [oneLine(error)];
  if (typeof error !== "object" || !("message" in error)) return [formatGot(error)];
  const { errors, lastNodeError, cause } = error as { errors?: unknown; lastNodeError?: unknown; cause?: unknown };
  const inner = Array.isArray(errors) ? errors : [lastNodeError, cause];
  const own = sentenceOf(error);
  const causes = inner.slice(0, MAX_CAUSES).flatMap((each) => sentencesOf(each, depth - 1));
  if (own === "" && causes.length === 0) return ["an error without a message"];
  return own === "" ? [causes.join("; ")] : [own, ...causes];
}

function sentenceOf(error: object): string {
  const { message, code, address, hostname, host, port } = error as Record<string, unknown>;
  const text = oneLine(String(message));
  const isAggregate = text === "" && "errors" in error;
  const where = address ?? hostname ?? host;
  const known = isAggregate ? [] : [code, where, port];
  const [fault, at, number] = known.map((each) => (each === undefined || text.includes(String(each)) ? "" : `${each}`));
  const place = at ? `${at}${number ? `:${number}` : ""}` : "";
  const missing = [fault && FAULT_CODE.test(fault) ? fault : "", place].filter((each) => each !== "");
  return withoutPasswords([text, ...missing].join(" ").trim());
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

function withoutPasswords(text: string): string {
  return text.replace(/:\/\/\S*@/g, "://…@").replace(/\b(password|passwd|pwd|secret|token)=[^\s&;]+/gi, "$1=…");
}
