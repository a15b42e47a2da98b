// The service as a function from a request to its answer. It reads no file and opens no port: node.ts does.

import { compiledPolicy } from "../kernel/policy/parse.ts";
import { readPolicyText } from "../policy-file/text.ts";
import { policyWarnings } from "../policy-warnings/warnings.ts";
import type { ServiceOptions } from "./options.ts";
import type { ReadPolicy } from "./policies.ts";
import { type Service, serviceOn } from "./service.ts";

export type { Act, Audit } from "./audit.ts";
export type { ServiceBounds } from "./bounds.ts";
export { type Key, type Keys, parseKeys, type Scope } from "./keys.ts";
export type { Logger } from "./logger.ts";
export type { Metrics } from "./metrics.ts";
export type { ServicePart } from "./parts.ts";
export type { ServiceOptions } from "./options.ts";
export type { Readiness } from "./readiness.ts";
export type { Service } from "./service.ts";

/**
 * Makes a service.
 *
 * @throws MisuseError `invalid-option`, `invalid-policy`, `unsupported-limit`
 *
 * @example
 * ```ts
 * import type { Decision } from "tollgate";
 * import { createService } from "tollgate/service";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const service = createService({
 *   policy: "version: 1\nlimits: [{ name: per-session, per: [session], quota: 50 }]",
 *   store: memoryStore(),
 *   keys: false,
 * });
 * const response = await service.fetch(
 *   new Request("http://localhost/v1/consume", {
 *     method: "POST",
 *     headers: { "content-type": "application/json" },
 *     body: JSON.stringify({ call: { tool: "search", session: "s1" } }),
 *   }),
 * );
 * const { verdicts } = (await response.json()) as Decision;
 * console.log(verdicts[0]?.remaining); // 49
 * await service.close();
 * ```
 */
export function createService(options: ServiceOptions): Service {
  return serviceOn({ hasTimers: true, readPolicy }, options);
}

const readPolicy: ReadPolicy = (given, source) => {
  if (typeof given === "string") return readPolicyText(given, source);
  const policy = compiledPolicy(given);
  return { policy, warnings: () => policyWarnings(policy) };
};
