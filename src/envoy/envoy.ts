// Envoy's rate limit service on a limiter, so that Envoy, Istio and agentgateway can use it as their global limiter.

import { countdown } from "../clock.ts";
import { isTooLong as isValueTooLong } from "../kernel/call.ts";
import { invalidOption } from "../kernel/errors.ts";
import { readOptions } from "../kernel/options.ts";
import { compiledPolicy } from "../kernel/policy/parse.ts";
import { askedBy, type Limiter, policyOf } from "../limiter.ts";
import { readYaml } from "../policy-file/yaml-text.ts";
import { answerOf, type Response } from "./answer.ts";
import { Decider } from "./decide.ts";
import { type Asked, createMapper, type EnvoyMapping, rememberPlaces } from "./mapping.ts";
import { CLOSE_OPTIONS, ENVOY_OPTIONS, readListenOptions } from "./options.ts";
import type { EnvoyCloseOptions, EnvoyListenOptions, EnvoyOptions } from "./options.ts";
import { type Descriptor, type Listening, listenGrpc, RefusedRequest, type Request } from "./server.ts";

export type { EnvoyAddress, EnvoyMapping, EnvoyRule } from "./mapping.ts";
export type { EnvoyListenOptions, EnvoyOptions } from "./options.ts";
export type { TlsFiles } from "./server.ts";

/** The counts of a service since it was made. */
export interface EnvoyCounts {
  readonly requests: number;
  /** Requests that were over a limit. */
  readonly denied: number;
  /** Requests that failed: Envoy did as its `failure_mode_deny` says. */
  readonly failed: number;
  /** Descriptors that match no rule of the mapping: they passed. */
  readonly unmapped: number;
  /** Holds that could be neither settled nor released, and expire as their limits say. */
  readonly unsettled: number;
}

/** Envoy's rate limit service. */
export interface EnvoyService {
  /**
   * Listens.
   *
   * @throws MisuseError `invalid-option`, also when gRPC's packages are not installed; an Error when the address is taken
   */
  listen(options?: EnvoyListenOptions): Promise<{ readonly host: string; readonly port: number }>;
  counts(): EnvoyCounts;
  /** Refuses new requests and waits for those in flight, at most `graceMs` (default 5,000). The limiter stays open. */
  close(options?: EnvoyCloseOptions): Promise<void>;
}

const MAX_DESCRIPTORS = 64;

/**
 * Makes Envoy's rate limit service (`envoy.service.ratelimit.v3.RateLimitService`) on a limiter. It needs the packages
 * `@grpc/grpc-js` and `@grpc/proto-loader` to listen.
 *
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { createLimiter, definePolicy } from "tollgate";
 * import { envoyService } from "tollgate/service/envoy";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const policy = definePolicy({
 *   version: 1,
 *   limits: [{ name: "tools", per: ["session", "tool"], algorithm: "fixed-window", quota: 50, window: "1m" }],
 * });
 * const limiter = createLimiter({ policy, store: memoryStore() });
 * const service = envoyService(limiter, {
 *   policy,
 *   mapping: {
 *     domains: { agents: [{ match: { session: "*" }, tool: { from: "tool" }, dimensions: { session: "session" } }] },
 *   },
 * });
 * const { host } = await service.listen({ port: 0 });
 * console.log(host, service.counts().requests); // 127.0.0.1 0
 * await service.close();
 * await limiter.close();
 * ```
 */
export function envoyService(limiter: Limiter, options: EnvoyOptions): EnvoyService {
  if (typeof limiter?.consume !== "function") throw invalidOption("limiter", "a limiter from createLimiter", limiter);
  const { mapping, policy: given, headers, metadata, ...bounds } = readOptions(ENVOY_OPTIONS, options);
  const policy = given === undefined ? null : compiledPolicy(given);
  const mapper = createMapper(mapping, policy);
  const decider = new Decider(askedBy(limiter, "envoy"));
  // A limiter that was reloaded applies another policy than the one in the options.
  const inForce = () => (policy === null ? null : (policyOf(limiter) ?? policy));
  const counts = { requests: 0, denied: 0, failed: 0, unmapped: 0 };
  let listening: Listening | null = null;

  async function decide(request: Request, signal: AbortSignal): Promise<Response> {
    counts.requests++;
    try {
      checkRequest(request);
      const asked = request.descriptors.map((each) => mapper(request.domain, each.entries, hitsOf(each, request)));
      counts.unmapped += asked.filter((each) => each === null).length;
      // Envoy lets a request pass that is answered by an error, so a value that is too long is a denial and not an error.
      const answer = asked.some(isTooLong)
        ? tooLongAnswer(asked)
        : answerOf(await decider.decide(asked, signal), { headers, metadata, policy: inForce() });
      if (answer.overallCode === "OVER_LIMIT") counts.denied++;
      return answer;
    } catch (error) {
      counts.failed++;
      throw error;
    }
  }

  return {
    async listen(where = {}) {
      const { host, port, tls } = readListenOptions(where);
      if (listening !== null) throw invalidOption("listen", "a service that does not listen yet", "one that does");
      listening = await listenGrpc(host, port, tls, bounds, decide);
      return { host, port: listening.port };
    },
    counts: () => ({ ...counts, unsettled: decider.unsettled }),
    async close(options = {}) {
      const { graceMs } = readOptions(CLOSE_OPTIONS, options);
      const leftMs = countdown(graceMs);
      await listening?.stop(graceMs);
      await decider.settled(leftMs());
    },
  };
}

/**
 * Reads a mapping from YAML or JSON. `envoyService` validates it.
 *
 * @param source what faults name as its origin, such as a file's path
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { parseEnvoyMapping } from "tollgate/service/envoy";
 *
 * const { domains } = parseEnvoyMapping(`
 * domains:
 *   agents:
 *     - { match: { session: "*" }, tool: api, dimensions: { session: session } }
 * `);
 * console.log(Object.keys(domains)); // [ 'agents' ]
 * ```
 */
export function parseEnvoyMapping(text: string, source = "mapping"): EnvoyMapping {
  if (typeof text !== "string") throw invalidOption(source, "a text in YAML or JSON", text);
  const { value, at } = readYaml(text, source, "invalid-option");
  rememberPlaces(value, at);
  return value as EnvoyMapping;
}

/** Whether a value of a call is longer than the limiter takes. */
function isTooLong(asked: Asked | null): boolean {
  return Object.entries(asked?.call ?? {}).some(([dimension, value]) => isValueTooLong(dimension, value));
}

function tooLongAnswer(asked: readonly (Asked | null)[]): Response {
  const statuses = asked.map((each) => ({ code: isTooLong(each) ? "OVER_LIMIT" : "OK" }) as const);
  return { overallCode: "OVER_LIMIT", statuses };
}

/** The descriptor's own hits, also 0; else the request's, where 0 means that it has none, which is 1. */
function hitsOf({ hitsAddend: own }: Descriptor, { hitsAddend }: Request): number {
  return own?.value ?? (hitsAddend || 1);
}

function checkRequest({ domain, descriptors }: Request): void {
  if (domain === "") throw new RefusedRequest("INVALID_ARGUMENT", "the domain is empty");
  if (descriptors.length < 1 || descriptors.length > MAX_DESCRIPTORS) {
    const message = `expected 1 to ${MAX_DESCRIPTORS} descriptors, got ${descriptors.length}`;
    throw new RefusedRequest("INVALID_ARGUMENT", message);
  }
  for (const { hitsAddend, isNegativeHits } of descriptors) {
    if (isNegativeHits === true) throw new RefusedRequest("UNIMPLEMENTED", "hits are not given back");
    if (hitsAddend && !Number.isSafeInteger(hitsAddend.value)) {
      throw new RefusedRequest("INVALID_ARGUMENT", `expected hits_addend up to ${Number.MAX_SAFE_INTEGER}, got more`);
    }
  }
}
