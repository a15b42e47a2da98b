// What a client does while its service is unreachable, as `tollgate/client/failover`. It needs a limiter of its own, which a client
// without it does not carry.

import { readOptions, required, unchecked, whole } from "../kernel/options.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import { compiledPolicy, type Policy } from "../kernel/policy/parse.ts";
import type { PolicyFor } from "../kernel/policy/typed.ts";
import type { Checked, WrittenPolicy } from "../kernel/policy/typed-keys.ts";
import { LocalAway } from "./local-away.ts";
import type { ClientFailover, OpenFailover } from "./options.ts";

export type { ClientFailover } from "./options.ts";

/** How a client decides while the service is unreachable. */
export interface LocalFailoverOptions<Given = Policy | PolicyInput> {
  /** The service's policy. A bucket of a limit that the service has otherwise gets a share of the whole quota. */
  readonly policy: Given;
  /** How many clients share the limits at most, 1 to 10,000. */
  readonly instances: number;
}

const OPTIONS = { policy: unchecked<Policy | PolicyInput>(), instances: required(whole(1, 10_000)) };

/**
 * Lets a client decide alone while the service is unreachable, by its share of what was left. The service gets these calls when
 * it is back.
 *
 * @throws MisuseError `invalid-option`, `invalid-policy`
 *
 * @example
 * ```ts
 * import { createRemoteLimiter } from "tollgate/client";
 * import { localFailover } from "tollgate/client/failover";
 *
 * const limiter = createRemoteLimiter({
 *   url: "http://127.0.0.1:8420",
 *   failover: localFailover({
 *     policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 50 }] },
 *     instances: 4,
 *   }),
 * });
 * await limiter.close();
 * ```
 */
export function localFailover<const Source extends Policy | WrittenPolicy>(
  options: LocalFailoverOptions<Source & Checked<Source>>,
): ClientFailover<PolicyFor<Source>> {
  const { policy: given, instances } = readOptions(OPTIONS, options, "failover");
  const policy = compiledPolicy(given as Policy | PolicyInput);
  const failover: OpenFailover = {
    policy,
    open: (wire, emit) => new LocalAway(wire, { policy, instances }, emit),
  };
  return failover as ClientFailover as ClientFailover<PolicyFor<Source>>;
}
