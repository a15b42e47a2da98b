// Whose a call is, as its dimensions. What is not established is `unidentified`: all such calls share one bucket, and a policy gives
// that a quota of its own.

import { formatGot, MisuseError } from "../../kernel/errors.ts";
import type { AuthConfig, Source } from "../config/config.ts";
import type { DimensionsOf, Origin } from "../contract.ts";
import { usable, valueFrom } from "./sources.ts";

export const UNIDENTIFIED = "unidentified";

/** Dimensions that a client cannot choose. */
const PROVEN = ["user", "tenant"] as const;
const ESTABLISHED: ReadonlySet<string> = new Set([...PROVEN, "session", "turn"]);

/**
 * @param identity where dimensions come from, beside what the credential and the session of a request prove
 * @param auth how clients are authenticated; `null`: not at all
 * @throws MisuseError `invalid-option`
 */
export function createDimensionsOf(
  identity: ReadonlyMap<string, Source>,
  auth: AuthConfig["kind"] | null,
): DimensionsOf {
  checkSources(identity, auth);
  const others = [...identity].filter(([dimension]) => !ESTABLISHED.has(dimension));
  return (origin, meta) => {
    const from = (dimension: string) => {
      const source = identity.get(dimension);
      return source === undefined ? null : valueFrom(source, origin, meta);
    };
    const { principal } = origin;
    const proven = (dimension: (typeof PROVEN)[number]) => {
      const source = identity.get(dimension);
      // A header is the proxy's only with the proxy's secret.
      const isBelieved = source === undefined || !("header" in source) || principal.user !== null;
      return (isBelieved ? from(dimension) : null) ?? usable(principal[dimension]) ?? UNIDENTIFIED;
    };
    const user = proven("user");
    const dimensions: Record<string, string> = {
      user,
      tenant: proven("tenant"),
      session: sessionOf(origin, user, identity.get("session"), from("session")),
      turn: from("turn") ?? UNIDENTIFIED,
    };
    for (const [dimension] of others) {
      const value = from(dimension);
      if (value !== null) dimensions[dimension] = value;
    }
    return dimensions;
  };
}

/** A session that is only claimed reaches no bucket of another user. */
function sessionOf({ session }: Origin, user: string, source: Source | undefined, value: string | null): string {
  const isClaim = source !== undefined && ("header" in source || "meta" in source);
  if (value !== null && !isClaim) return value;
  if (session !== null) return session;
  return value === null ? UNIDENTIFIED : `${user.replace(/[%~]/g, encodeMark)}~${value}`;
}

function encodeMark(mark: string): string {
  return mark === "~" ? "%7E" : "%25";
}

function checkSources(identity: ReadonlyMap<string, Source>, auth: AuthConfig["kind"] | null): void {
  for (const dimension of PROVEN) {
    const source = identity.get(dimension);
    if (source === undefined || "value" in source || "claim" in source) continue;
    if ("header" in source && auth === "proxy") continue;
    throw new MisuseError("invalid-option", {
      path: `identity.${dimension}`,
      expected: "a source that a client cannot make up: claim, value, or header with auth.proxy",
      got: formatGot(source),
    });
  }
}
