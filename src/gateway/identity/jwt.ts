// Verifies JSON Web Tokens (RFC 7519) by keys that are given. Where keys come from is in jwks.ts.

import { type KeyObject, verify } from "node:crypto";

export const JWT_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"] as const;
export type JwtAlgorithm = (typeof JWT_ALGORITHMS)[number];

/** What is verified of a token beside its signature. */
export interface JwtExpectations {
  readonly issuer: string;
  readonly audience: string;
}

/** A token whose form is right. Nothing of it is verified. */
export interface ParsedJwt {
  readonly algorithm: JwtAlgorithm;
  readonly keyId: string | null;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly signed: Buffer;
  readonly signature: Buffer;
}

const MOST_CHARACTERS = 16_384;
const FORM = /^([\w-]{1,2048})\.([\w-]+)\.([\w-]{1,2048})$/;
const LEEWAY_MS = 60_000;
const MOST_SUBJECT = 256;
const MIN_RSA_BITS = 2_048;
/** RSASSA-PSS of RFC 7518: the salt is as long as the hash. */
const PSS_SALT_BYTES = 32;
/** Of OpenSSL: RSA_PKCS1_PSS_PADDING. */
const PSS_PADDING = 6;

/** `null`: it is no such token, or has an algorithm or an extension that is not accepted. */
export function parseJwt(token: string): ParsedJwt | null {
  const [, head, body, tail] = token.length > MOST_CHARACTERS ? [] : (FORM.exec(token) ?? []);
  if (head === undefined || body === undefined || tail === undefined) return null;
  const header = objectIn(head);
  const claims = objectIn(body);
  const algorithm = JWT_ALGORITHMS.find((each) => each === header?.alg);
  if (header === null || claims === null || algorithm === undefined || "crit" in header) return null;
  const { kid = null } = header;
  if (kid !== null && typeof kid !== "string") return null;
  return {
    algorithm,
    keyId: kid,
    claims,
    signed: Buffer.from(`${head}.${body}`),
    signature: Buffer.from(tail, "base64url"),
  };
}

/** Whether a key can be one of an algorithm. */
export function suits(key: KeyObject, algorithm: JwtAlgorithm): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (algorithm === "EdDSA") return type === "ed25519";
  if (algorithm === "ES256") return type === "ec" && details?.namedCurve === "prime256v1";
  return type === "rsa" && (details?.modulusLength ?? 0) >= MIN_RSA_BITS;
}

/** @param key one that suits the algorithm */
export function isSignedBy({ algorithm, signed, signature }: ParsedJwt, key: KeyObject): boolean {
  switch (algorithm) {
    case "EdDSA":
      return verify(null, signed, key, signature);
    case "ES256":
      return verify("sha256", signed, { key, dsaEncoding: "ieee-p1363" }, signature);
    case "PS256":
      return verify("sha256", signed, { key, padding: PSS_PADDING, saltLength: PSS_SALT_BYTES }, signature);
    default:
      return verify("sha256", signed, key, signature);
  }
}

/** Until when a token is good, epoch ms; `null`: it is not for us, or not for now. */
export function goodUntilMs(
  { claims }: ParsedJwt,
  { issuer, audience }: JwtExpectations,
  nowMs: number,
): number | null {
  const { iss, aud, exp, nbf, sub } = claims;
  const isForUs = iss === issuer && (aud === audience || (Array.isArray(aud) && aud.includes(audience)));
  const hasSubject = typeof sub === "string" && sub.length > 0 && sub.length <= MOST_SUBJECT;
  if (!isForUs || !hasSubject || !isInstant(exp)) return null;
  if (nbf !== undefined && !(isInstant(nbf) && nbf * 1_000 <= nowMs + LEEWAY_MS)) return null;
  const untilMs = exp * 1_000 + LEEWAY_MS;
  return nowMs < untilMs ? untilMs : null;
}

function isInstant(seconds: unknown): seconds is number {
  return typeof seconds === "number" && Number.isFinite(seconds);
}

function objectIn(part: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : null;
  } catch {
    return null;
  }
}
