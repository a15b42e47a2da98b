// API keys and their scopes, as a key file has them: only hashes. It reads no file: key-file.ts does.

import { hexToBytes } from "@noble/hashes/utils.js";
import * as v from "valibot";
import { closed, listOf, listTo, text, textOf } from "../http/schema-parts.ts";
import { invalidOption, MisuseError } from "../kernel/errors.ts";
import { type Output, readBy, wordOf } from "../kernel/policy/schema-kinds.ts";
import { oneOf } from "../kernel/policy/schema-parts.ts";
import type { Tenants } from "./tenants.ts";

/** What a key may do: decide calls, read usage and events, change buckets, bring quotas. No scope contains another. */
export const SCOPES = ["decide", "read", "admin", "quotas"] as const;
export type Scope = (typeof SCOPES)[number];

export const MAX_KEYS = 10_000;

const tenantSchema = v.pipe(
  textOf(1, 1_000),
  v.check((tenant) => tenant.isWellFormed(), "a well-formed text"),
);
export const keySchema = closed({
  id: v.pipe(text, v.regex(/^[a-z0-9]{1,32}$/, "1 to 32 letters and digits")),
  sha256: v.pipe(text, v.regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits")),
  scopes: listTo(SCOPES.length, oneOf(...SCOPES)),
  tenants: v.optional(listTo(1_000, tenantSchema)),
  name: v.optional(textOf(0, 200)),
  createdAt: textOf(0, 40),
});
const fileSchema = closed({
  version: wordOf("1", [1]),
  keys: v.pipe(listOf(keySchema), v.maxLength(MAX_KEYS, `a length of at most ${MAX_KEYS}`)),
});

/** A key as the file has it. */
export type StoredKey = Output<typeof keySchema>;

/** A key by which requests are checked. */
export interface Key {
  readonly id: string;
  readonly sha256: Uint8Array;
  readonly scopes: ReadonlySet<Scope>;
  readonly tenants: Tenants;
}

/** Where keys come from. */
export interface Keys {
  find(id: string): Key | undefined;
  close(): void;
}

/**
 * The keys in the text of a key file, such as a secret of a Worker: `tollgate keys create --file keys.json` makes it.
 *
 * @param source what faults name as its origin
 * @throws MisuseError `invalid-option` when it is no key file
 */
export function parseKeys(text: string, source = "the text"): Keys {
  const keys = keysById(storedKeysIn(text, source));
  return { find: (id) => keys.get(id), close() {} };
}

/** What the text of a key file holds. Throws `invalid-option`. */
export function storedKeysIn(text: string, source: string): readonly StoredKey[] {
  const expected = `a key file as \`tollgate keys create\` writes it, at ${source}`;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    // The parser's message may show a part of the file.
    const [place = ""] = /at line \d+ column \d+|\(line \d+ column \d+\)/.exec(String(error)) ?? [];
    const fault = { path: "keys", expected, got: `no JSON ${place}`.trim() };
    throw new MisuseError("invalid-option", fault, { cause: error });
  }
  const read = readBy(fileSchema, parsed);
  if ("faults" in read) {
    const [fault] = read.faults;
    const at = fault?.keys.join(".") ?? "";
    throw new MisuseError("invalid-option", {
      path: "keys",
      expected,
      got: `${at || "the file"}, which is not ${fault?.expected}`,
    });
  }
  const { keys } = read.value;
  if (new Set(keys.map(({ id }) => id)).size < keys.length) throw invalidOption("keys", "ids that differ", source);
  return keys;
}

/** The keys by which requests are checked. */
export function keysById(keys: readonly StoredKey[]): ReadonlyMap<string, Key> {
  return new Map(
    keys.map(({ id, sha256, scopes, tenants = null }) => [
      id,
      { id, sha256: hexToBytes(sha256), scopes: new Set(scopes), tenants },
    ]),
  );
}
