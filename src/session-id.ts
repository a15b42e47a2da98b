// Session ids that only the server can make: signed, bound to a tenant, expiring. It keeps no state, and does not
// limit how many ids an owner gets.

import { systemClock } from "./clock.ts";
import { dimensionValue } from "./kernel/call.ts";
import { MisuseError } from "./kernel/errors.ts";
import { checked, readOptions, required, type TableOf, unchecked, whole } from "./kernel/options.ts";
import { type Bytes, importKeys, type Ring, type SessionKey, secretsOf } from "./session-id/keys.ts";

export type { SessionKey } from "./session-id/keys.ts";

/** How session ids are made. */
export interface SessionIdOptions {
  /** 1 to 16: the first signs, all verify. */
  readonly keys: readonly SessionKey[];
  /** How long a token is valid, ms, from 1,000 to 2^53 - 1. Default 86,400,000 (24 hours). */
  readonly maxAgeMs?: number | undefined;
  /** For tests. Default: the machine's clock. */
  readonly clock?: { nowMs(): number } | undefined;
}

type NowClock = NonNullable<SessionIdOptions["clock"]>;

const OPTIONS = {
  keys: required(unchecked<readonly SessionKey[]>()),
  maxAgeMs: whole(1_000, Number.MAX_SAFE_INTEGER, 86_400_000),
  clock: checked<NowClock, NowClock>(
    "a clock: { nowMs() }",
    (value) => typeof (value as NowClock | null)?.nowMs === "function",
    { nowMs: () => systemClock.nowMs() },
  ),
} satisfies TableOf<SessionIdOptions>;

/** The owner of a session. */
export interface SessionOwner {
  readonly tenant: string | number;
  /** If a session is issued to a user, it has to be verified with that user too. */
  readonly user?: string | number | undefined;
}

/** A session whose token was verified. */
export interface VerifiedSession {
  /** The dimension `session`: 22 characters, random, the same for every token of this issue. */
  readonly session: string;
  readonly issuedAtMs: number;
}

/** Issues and verifies session ids. */
export interface SessionIds {
  /**
   * A token for a new session, some 80 to 110 characters that need no escaping in a header, a cookie or a URL.
   *
   * @throws MisuseError `missing-dimension`, `invalid-dimension`
   */
  issue(owner: SessionOwner): Promise<string>;
  /**
   * The session of a token; `null` when it is malformed, forged, another owner's or too old, which takes the same work.
   *
   * @throws MisuseError as `issue`: of the owner, never of the token
   */
  verify(token: string | null | undefined, owner: SessionOwner): Promise<VerifiedSession | null>;
}

/** `v1.key.id.issued.mac`. The last character of each of two fields has bits that must be 0: one text for each token. */
const TOKEN = /^(v1\.([\w-]{1,32})\.([\w-]{21}[AQgw])\.([0-9a-z]{1,11}))\.([\w-]{42}[AEIMQUYcgkosw048])$/;
const MAX_LENGTH = 512;
/** Verified in place of a malformed token, so that it takes the same time. */
const DECOY_PARTS = ["", `v1.k1.${"A".repeat(22)}.00000000`, "", "", "0", "A".repeat(43)];

/**
 * Makes an issuer and verifier of session ids.
 *
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { createSessionIds } from "tollgate/session-id";
 *
 * const ids = createSessionIds({ keys: [{ id: "k1", secret: crypto.getRandomValues(new Uint8Array(32)) }] });
 * const token = await ids.issue({ tenant: "acme" });
 * const own = await ids.verify(token, { tenant: "acme" });
 * const foreign = await ids.verify(token, { tenant: "other" });
 * console.log(own?.session.length, foreign); // 22 null
 * ```
 */
export function createSessionIds(options: SessionIdOptions): SessionIds {
  const { keys: sessionKeys, maxAgeMs, clock } = readOptions(OPTIONS, options);
  const secrets = secretsOf(sessionKeys);
  // Not before it is needed: Workers refuse random numbers while a module loads.
  let imported: Promise<Ring> | undefined;
  const ringOf = () => (imported ??= importKeys(secrets));

  return {
    async issue(owner) {
      const bound = boundTo(owner);
      const { signer } = await ringOf();
      const session = base64url(crypto.getRandomValues(new Uint8Array(16)));
      const head = `v1.${signer.id}.${session}.${clock.nowMs().toString(36)}`;
      const mac = await crypto.subtle.sign("HMAC", signer.key, signedText(head, bound));
      return `${head}.${base64url(new Uint8Array(mac))}`;
    },
    async verify(token, owner) {
      const bound = boundTo(owner);
      const { keys, decoy } = await ringOf();
      // Every token costs one MAC, so that the time does not say what is wrong with it.
      const parts = typeof token === "string" && token.length <= MAX_LENGTH ? TOKEN.exec(token) : null;
      const [, head = "", keyId = "", session = "", issued = "", mac = ""] = parts ?? DECOY_PARTS;
      const key = keys.get(keyId);
      const isSigned = await crypto.subtle.verify("HMAC", key ?? decoy, bytesOf(mac), signedText(head, bound));
      const issuedAtMs = Number.parseInt(issued, 36);
      const isFresh = clock.nowMs() - issuedAtMs < maxAgeMs;
      return isSigned && parts !== null && key !== undefined && isFresh ? { session, issuedAtMs } : null;
    },
  };
}

/** The signed text: the token's fields and its owner, in a form that has only one reading. */
function signedText(head: string, bound: readonly (string | null)[]): Bytes {
  return new TextEncoder().encode(JSON.stringify([head, ...bound]));
}

function boundTo({ tenant, user }: SessionOwner): readonly (string | null)[] {
  if (tenant === undefined || tenant === null) {
    throw new MisuseError("missing-dimension", { path: "tenant", expected: "whose session it is", got: "nothing" });
  }
  return [dimensionValue("tenant", tenant), user === undefined ? null : dimensionValue("user", user)];
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

function bytesOf(text: string): Bytes {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
