// The secrets that sign session ids, checked and ready to sign.

import { checkOptionKeys, invalidOption, MisuseError } from "../kernel/errors.ts";

/** A secret that signs. */
export interface SessionKey {
  /** 1 to 32 letters, digits, `_` or `-`; stands in the tokens that the key signs. */
  readonly id: string;
  /** At least 32 random bytes, or a text of as many. */
  readonly secret: string | Uint8Array;
}

const MIN_SECRET_BYTES = 32;
const MAX_KEYS = 16;

/** Bytes as WebCrypto takes them. */
export type Bytes = Uint8Array<ArrayBuffer>;
type HmacKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** The keys by id. The first signs; a random key stands in if a token names none of them. */
export interface Ring {
  readonly keys: ReadonlyMap<string, HmacKey>;
  readonly signer: { readonly id: string; readonly key: HmacKey };
  readonly decoy: HmacKey;
}

/** The keys as WebCrypto takes them. */
export async function importKeys([first, ...others]: readonly [Secret, ...Secret[]]): Promise<Ring> {
  const importKey = async ({ id, bytes }: Secret) => {
    const hmac = { name: "HMAC", hash: "SHA-256" };
    return { id, key: await crypto.subtle.importKey("raw", bytes, hmac, false, ["sign", "verify"]) };
  };
  const signer = await importKey(first);
  const { key: decoy } = await importKey({ id: "", bytes: crypto.getRandomValues(new Uint8Array(MIN_SECRET_BYTES)) });
  const all = [signer, ...(await Promise.all(others.map(importKey)))];
  return { signer, decoy, keys: new Map(all.map(({ id, key }) => [id, key])) };
}

/** A key's secret, checked and copied. */
export interface Secret {
  readonly id: string;
  readonly bytes: Bytes;
}

/** The keys, checked and copied. No error shows a secret. */
export function secretsOf(keys: readonly SessionKey[]): readonly [Secret, ...Secret[]] {
  const [first, ...others] = Array.isArray(keys) ? (keys as readonly SessionKey[]).map(secretOf) : [];
  if (first === undefined || others.length >= MAX_KEYS) {
    throw wrongKey("keys", `1 to ${MAX_KEYS} keys`, Array.isArray(keys) ? `${keys.length} keys` : typeof keys);
  }
  const ids = [first, ...others].map(({ id }) => id);
  const twice = ids.findIndex((id, i) => ids.indexOf(id) < i);
  if (twice > 0) throw invalidOption(`keys[${twice}].id`, "an id of its own", ids[twice]);
  return [first, ...others];
}

function secretOf(key: SessionKey, i: number): Secret {
  const path = `keys[${i}]`;
  if (typeof key !== "object") throw wrongKey(path, "{ id, secret }", typeof key);
  checkOptionKeys(key, ["id", "secret"], path);
  const { id, secret } = key;
  if (typeof id !== "string" || !/^[\w-]{1,32}$/.test(id)) {
    const got = typeof id === "string" ? `${id.length} characters` : typeof id;
    throw wrongKey(`${path}.id`, "1 to 32 letters, digits, _ or -", got);
  }
  const expected = `a text or a Uint8Array of at least ${MIN_SECRET_BYTES} bytes`;
  if (typeof secret !== "string" && !(secret instanceof Uint8Array)) {
    throw wrongKey(`${path}.secret`, expected, secret === undefined ? "nothing" : typeof secret);
  }
  const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : new Uint8Array(secret);
  if (bytes.length < MIN_SECRET_BYTES) throw wrongKey(`${path}.secret`, expected, `${bytes.length} bytes`);
  return { id, bytes };
}

function wrongKey(path: string, expected: string, got: string): MisuseError {
  return new MisuseError("invalid-option", { path, expected, got });
}
