// API keys and their scopes, as a key file has them: only hashes. It reads no file: key-file.ts does.

import { hexToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { invalidOption, MisuseError } from "../kernel/errors.ts";
import type { Tenants } from "./tenants.ts";

/** What a key may do: decide calls, read usage and events, change buckets, bring quotas. No scope contains another. */
export const SCOPES = ["decide", "read", "admin", "quotas"] as const;
export type Scope = (typeof SCOPES)[number];

export const MAX_KEYS = 10_000;

const tenantSchema = z
  .string()
  .min(1)
  .max(1_000)
  .refine((tenant) => tenant.isWellFormed());
export const keySchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9]{1,32}$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
  tenants: z.array(tenantSchema).min(1).max(1_000).optional(),
  name: z.string().max(200).optional(),
  createdAt: z.string().max(40),
});
const fileSchema = z.strictObject({ version: z.literal(1), keys: z.array(keySchema).max(MAX_KEYS) });

/** A key as the file has it. */
export type StoredKey = z.infer<typeof keySchema>;

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
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    // The parser's message may show a part of the file.
    const [place = ""] = /at line \d+ column \d+|\(line \d+ column \d+\)/.exec(String(error)) ?? [];
    const fault = { path: "keys", expected: `a key file at ${source}`, got: `no JSON ${place}`.trim() };
    throw new MisuseError("invalid-option", fault, { cause: error });
  }
  const result = fileSchema.safeParse(parsed);
  if (!result.success) {
    const [issue] = result.error.issues;
    const at = issue?.path.join(".") ?? "";
    const expected = `a key file as \`tollgate keys create\` writes it, at ${source}`;
    throw new MisuseError("invalid-option", { path: "keys", expected, got: `${at || "the file"}: ${issue?.message}` });
  }
  const { keys } = result.data;
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
