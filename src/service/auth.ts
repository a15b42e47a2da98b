// The API key of a request, and whether its scopes allow the request. keys.ts reads the keys.

import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { type Keys, SCOPES, type Scope } from "./keys.ts";
import { ProblemError } from "./problems.ts";
import type { Tenants } from "./tenants.ts";

/** The sender of a request. */
export interface Caller {
  /** `null` if no key is needed. */
  readonly keyId: string | null;
  readonly tenants: Tenants;
  readonly scopes: ReadonlySet<Scope>;
}

/** A caller where no key is needed. */
export const CALLER_WITHOUT_KEY: Caller = { keyId: null, tenants: null, scopes: new Set(SCOPES) };
const KEY = /^[Bb]earer +tg_([a-z0-9]{1,32})_([A-Za-z0-9_-]{43})$/;
/** Compared with the secret of an unknown id, so that it takes as long as a known id. */
const NO_KEY = new Uint8Array(32);

/**
 * The caller of a request, by its header. Throws ProblemError 401 without a valid key, and 403 without the scope; `any` is a
 * scope that every key has.
 */
export function callerOf(keys: Keys | false, authorization: string | null, scope: Scope | "any"): Caller {
  if (keys === false) return CALLER_WITHOUT_KEY;
  if (authorization === null) throw unauthorized("An API key is needed: send Authorization: Bearer tg_….");
  const [, id, secret] = KEY.exec(authorization) ?? [];
  if (id === undefined || secret === undefined) {
    throw unauthorized(
      "This is not an API key of Tollgate: send Authorization: Bearer tg_…, as `tollgate keys create` printed it.",
    );
  }
  const key = keys.find(id);
  const isRight = areEqual(sha256(utf8ToBytes(secret)), key?.sha256 ?? NO_KEY);
  if (key === undefined || !isRight)
    throw unauthorized("The API key is not known: it was revoked, or is of another service, or its end is wrong.");
  if (scope !== "any" && !key.scopes.has(scope)) throw missingScope(scope, id);
  return { keyId: id, tenants: key.tenants, scopes: key.scopes };
}

/** Who asks, for logs: `key:ID`, or `anonymous` where no key is needed, and the person that it names. */
export function actorOf({ keyId }: Pick<Caller, "keyId">, person?: string): string {
  const actor = keyId === null ? "anonymous" : `key:${keyId}`;
  return person === undefined ? actor : `${actor} for ${person}`;
}

/** Whether two hashes are equal. It takes as long for those that differ early. */
function areEqual(one: Uint8Array, other: Uint8Array): boolean {
  let difference = one.length ^ other.length;
  for (const [i, byte] of one.entries()) difference |= byte ^ (other[i] ?? 0);
  return difference === 0;
}

/** The problem of a key without a scope. */
export function missingScope(scope: Scope, keyId: string | null): ProblemError {
  return new ProblemError("missing-scope", `The key lacks the scope ${scope}.`, { keyId });
}

function unauthorized(detail: string): ProblemError {
  return new ProblemError("unauthorized", detail, { headers: { "www-authenticate": "Bearer" } });
}
