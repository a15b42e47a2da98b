// Says whose a request is, by its credential: an API key of Tollgate, a JSON Web Token, or the word of a proxy. A request without one
// is let in unidentified where that is allowed, and one with a wrong credential is refused in any case.

import { createHash } from "node:crypto";
import { type Clock, systemClock } from "../../clock.ts";
import type { AuthConfig, GatewayLog, HttpConfig, JwtConfig } from "../config/config.ts";
import type { Authenticator, Principal, Reply } from "../contract.ts";
import { errorReply, jsonReply, RPC } from "../refusal.ts";
import { Jwks } from "./jwks.ts";
import { goodUntilMs, isSignedBy, parseJwt } from "./jwt.ts";
import { proxyHeaders, proxyPrincipal } from "./proxy.ts";

/** `none`: there is no credential; `invalid`: it proves nothing. */
type Proof = Principal | "none" | "invalid";
type Header = (name: string) => string | undefined;

const UNKNOWN: Principal = { user: null, tenant: null, claims: {} };
const BEARER = /^bearer +([\w.~+/=-]+)$/i;
const KEPT_MS = 60_000;
const MOST_KEPT = 10_000;
const METADATA_PATH = "/.well-known/oauth-protected-resource";

/**
 * @param publicUrl the address that clients know; `null`: it is not known
 * @throws MisuseError `invalid-option`
 */
export function createAuthenticator(
  auth: HttpConfig["auth"],
  publicUrl: URL | null,
  log: GatewayLog,
  clock: Clock = systemClock,
): Authenticator {
  if (auth === null) return { check: async () => UNKNOWN, ownHeaders: new Set(), metadata: null };
  const { config, isOptional } = auth;
  const prove = proverOf(config, log, clock);
  const challenge = challengeOf(config, publicUrl);
  return {
    async check(headers) {
      const header: Header = (name) => {
        const value = headers[name.toLowerCase()];
        return Array.isArray(value) ? value.join(", ") : value;
      };
      const proof = await proofOf(prove, header, log);
      if (proof === "none") return isOptional ? UNKNOWN : unauthorized("A credential is needed.", challenge(null));
      return proof === "invalid" ? unauthorized("The credential is not valid.", challenge("invalid_token")) : proof;
    },
    ownHeaders: config.kind === "proxy" ? proxyHeaders(config) : new Set(["authorization"]),
    metadata: config.kind === "jwt" ? metadataOf(config.jwt, publicUrl) : null,
  };
}

/** A credential that cannot be checked proves nothing. */
async function proofOf(prove: (header: Header) => Proof | Promise<Proof>, header: Header, log: GatewayLog) {
  try {
    return await prove(header);
  } catch (error) {
    // The message could have a part of the credential in it.
    log.error({ error: (error as Error | null)?.name }, "a credential could not be checked");
    return "invalid";
  }
}

function proverOf(config: AuthConfig, log: GatewayLog, clock: Clock): (header: Header) => Proof | Promise<Proof> {
  if (config.kind === "proxy") return (header) => proxyPrincipal(config, header);
  if (config.kind === "keys") {
    return (header) => {
      const authorization = header("authorization");
      if (authorization === undefined) return "none";
      const key = config.find(authorization);
      if (key === null) return "invalid";
      const { id: user, tenants } = key;
      const [tenant, ...others] = tenants ?? [];
      return { user, tenant: others.length > 0 ? null : (tenant ?? null), claims: {} };
    };
  }
  const tokens = new Tokens(config.jwt, log, clock);
  return (header) => {
    const authorization = header("authorization");
    return authorization === undefined ? "none" : tokens.principalOf(authorization);
  };
}

/** Verifies tokens. A verified one is known for a minute. */
class Tokens {
  readonly #config: JwtConfig;
  readonly #jwks: Jwks;
  readonly #clock: Clock;
  readonly #kept = new Map<string, { readonly principal: Principal; readonly untilMs: number }>();

  constructor(config: JwtConfig, log: GatewayLog, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
    this.#jwks = new Jwks(config.jwks, log, clock);
  }

  async principalOf(authorization: string): Promise<Proof> {
    const [, token] = BEARER.exec(authorization) ?? [];
    const parsed = token === undefined ? null : parseJwt(token);
    if (token === undefined || parsed === null) return "invalid";
    const hash = createHash("sha256").update(token).digest("base64");
    const nowMs = this.#clock.nowMs();
    const kept = this.#kept.get(hash);
    if (kept !== undefined && nowMs < kept.untilMs) return kept.principal;
    this.#kept.delete(hash);
    const untilMs = goodUntilMs(parsed, this.#config, nowMs);
    if (untilMs === null) return "invalid";
    const key = await this.#jwks.find(parsed);
    if (key === null || !isSignedBy(parsed, key)) return "invalid";
    const principal = { user: String(parsed.claims.sub), tenant: null, claims: parsed.claims };
    this.#keep(hash, { principal, untilMs: Math.min(untilMs, nowMs + KEPT_MS) });
    return principal;
  }

  #keep(hash: string, kept: { readonly principal: Principal; readonly untilMs: number }): void {
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= MOST_KEPT && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(hash, kept);
  }
}

/** The value of `WWW-Authenticate`. */
function challengeOf({ kind }: AuthConfig, publicUrl: URL | null): (error: string | null) => string {
  const where =
    kind === "jwt" && publicUrl !== null ? `resource_metadata="${new URL(METADATA_PATH, publicUrl)}"` : null;
  return (error) => {
    const words = [error === null ? null : `error="${error}"`, where].filter((word) => word !== null);
    return ["Bearer", words.join(", ")].filter((part) => part !== "").join(" ");
  };
}

/** RFC 9728. */
function metadataOf({ issuer, audience }: JwtConfig, publicUrl: URL | null): Reply {
  const resource = publicUrl === null ? audience : publicUrl.href.replace(/\/$/, "");
  const document = { resource, authorization_servers: [issuer], bearer_methods_supported: ["header"] };
  return jsonReply(JSON.stringify(document));
}

function unauthorized(message: string, challenge: string): Reply {
  const reply = errorReply(null, RPC.invalidRequest, message, 401);
  return { ...reply, headers: { ...reply.headers, "www-authenticate": challenge } };
}
