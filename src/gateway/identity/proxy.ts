// A proxy that has authenticated the client, and says in headers who it is. It is believed only with its secret.

import { createHash, timingSafeEqual } from "node:crypto";
import type { AuthConfig } from "../config/config.ts";
import type { Principal } from "../contract.ts";
import { usable } from "./sources.ts";

type ProxyConfig = Extract<AuthConfig, { kind: "proxy" }>;

/** @returns `"none"`: without the secret; `"invalid"`: with a wrong one, or without a user */
export function proxyPrincipal(
  config: ProxyConfig,
  header: (name: string) => string | undefined,
): Principal | "none" | "invalid" {
  const secret = header(config.secretHeader);
  if (secret === undefined) return "none";
  const user = usable(header(config.user));
  if (!timingSafeEqual(hashOf(secret), hashOf(config.secret)) || user === null) return "invalid";
  const tenant = config.tenant === null ? null : usable(header(config.tenant));
  return { user, tenant, claims: {} };
}

/** The headers that are the proxy's, in lower case. */
export function proxyHeaders({ secretHeader, user, tenant }: ProxyConfig): ReadonlySet<string> {
  return new Set([secretHeader, user, ...(tenant === null ? [] : [tenant])].map((name) => name.toLowerCase()));
}

/** Of equal length for all texts. */
function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
