// The service as a function from a request to its answer: the limiter, who may ask it, and what is told of it. It listens
// nowhere (node.ts does).

import { createHash } from "node:crypto";
import { Hono } from "hono/tiny";
import { MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import { compiledPolicy, type Policy, writtenPolicy } from "../kernel/policy/parse.ts";
import { reasonOf } from "../kernel/reason.ts";
import { createLimiter, type Limiter, policyOf, refusePolicy, withTelemetry } from "../limiter.ts";
import { readPolicyText } from "../policy-file/file.ts";
import { type PolicyWarning, policyWarnings } from "../policy-warnings/warnings.ts";
import { boundsOf } from "./bounds.ts";
import type { PolicyInForce, ServiceContext } from "./context.ts";
import { codeOf, logEvent } from "./event-log.ts";
import { Events } from "./events.ts";
import { exchange, idOf, problemResponse, unrouted } from "./exchange.ts";
import type { Log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { checkServiceOptions, type ServiceOptions } from "./options.ts";
import { problemOf } from "./problems.ts";
import { ReadinessWatch } from "./readiness.ts";
import { Refusals } from "./refusals.ts";
import { ROUTES } from "./routes.ts";

export type { WatchOptions as KeyFileOptions } from "../policy-file/watched-file.ts";
export { type Act, type Audit, auditFile } from "./audit.ts";
export type { ServiceBounds } from "./bounds.ts";
export {
  createKey,
  type Key,
  type Keys,
  keyFile,
  type NewKey,
  revokeKey,
  type Scope,
} from "./keys.ts";
export type { Log } from "./log.ts";
export type { Metrics } from "./metrics.ts";
export type { ServiceOptions } from "./options.ts";
export type { Readiness } from "./readiness.ts";

/** The external limiter, as a function. */
export interface Service {
  /** The limiter that it asks, for others in this process. */
  readonly limiter: Limiter;
  /** Whether anybody may ask. */
  readonly isOpen: boolean;
  readonly metrics: Metrics;
  /** Answers a request. It never rejects. */
  fetch(request: Request): Promise<Response>;
  /**
   * Judges by another policy from now on.
   *
   * @throws MisuseError as `limiter.reload`, and nothing has changed
   */
  reload(policy: string | PolicyInput | Policy): void;
  /** Whether it is about to end. */
  readonly isLeaving: boolean;
  /** From now on it says that it is not ready; it answers as before. */
  leave(): void;
  /**
   * Takes no new work, waits until what runs has ended or has had its time (`stopMs`), and closes the limiter, which goes on
   * trying to book what it admitted while the store was away (`closeMs`).
   * Closing twice is fine.
   */
  close(): Promise<void>;
}

/** A parameter of a query that stands beside dimensions: no dimension can have its name. */
const TAKEN = "cursor";

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
  checkServiceOptions(options);
  const { store, keys, prefix, failover = {}, log, onDecision, onEvent } = options;
  const bounds = boundsOf(options.bounds);
  const metrics = new Metrics(ROUTES);
  const hasShare = failover !== false && failover.journal !== undefined && failover.instances !== undefined;
  const readiness = new ReadinessWatch(store, bounds.readyDeadlineMs, hasShare, (error) => {
    if (error === null) log?.info({}, "ready: the store answers");
    else log?.error({ code: codeOf(error), problem: reasonOf(error) }, "not ready: the store does not answer");
  });
  const events = new Events(bounds, () => context.inForce.policy, metrics);
  const stop = new AbortController();
  const written = new WeakMap<CompiledPolicy, PolicyInForce>();
  const read = (given: ServiceOptions["policy"]): CompiledPolicy => {
    const { policy, warnings } = readPolicy(given, options.policySource);
    if (log !== undefined) for (const warning of warnings()) logWarning(log, warning);
    written.set(policy, asWritten(policy, typeof given === "string" ? given : undefined));
    return policy;
  };
  const limiter = createLimiter({
    policy: read(options.policy),
    store,
    failover,
    ...(prefix === undefined ? {} : { prefix }),
    ...(options.quotas === undefined ? {} : { quotas: options.quotas }),
    ...(options.denyCacheMs === undefined ? {} : { denyCacheMs: options.denyCacheMs }),
    telemetry: withTelemetry(metrics.telemetry, options.telemetry),
    onDecision(decision, call) {
      if (decision.degraded === null) readiness.decided();
      events.decided(decision, call);
      return onDecision?.(decision, call);
    },
    onEvent(event) {
      readiness.happened(event);
      if (event.type === "policy.reloaded") metrics.reloaded("applied");
      if (event.type === "policy.refused") metrics.reloaded("refused");
      events.happened(event);
      if (log !== undefined) logEvent(log, event);
      return onEvent?.(event);
    },
  });
  const context: ServiceContext = {
    limiter,
    bounds,
    keys,
    events,
    metrics,
    readiness,
    refusals: new Refusals(log),
    audit: options.audit ?? ((act) => log?.info({ audit: act }, "audit")),
    stop: stop.signal,
    failed(error, { request, place }) {
      const problem = problemOf(error, place);
      if (problem.problem.status >= 500 && problem !== error) {
        logFailure(log, { code: problem.problem.code, requestId: idOf(request) }, error);
      }
      return problem;
    },
    // What the limiter judges by, also when it was reloaded by itself.
    get inForce() {
      const policy = policyOf(limiter) as CompiledPolicy;
      const known = written.get(policy) ?? asWritten(policy);
      written.set(policy, known);
      return known;
    },
    phase: "open",
    inFlight: 0,
    waiting: 0,
  };
  const app = new Hono();
  for (const route of ROUTES) app.on(route.method, route.path, exchange(context, route, log));
  app.notFound(({ req }) => problemResponse(unrouted(ROUTES, req.raw), req.raw));
  app.onError((error, { req }) => problemResponse(context.failed(error, { request: req.raw, place: "body" }), req.raw));
  let closing: Promise<void> | undefined;
  const service: Service = {
    limiter,
    isOpen: keys === false,
    metrics,
    fetch: async (request) => app.fetch(request),
    reload(policy) {
      let next: CompiledPolicy;
      try {
        next = read(policy);
      } catch (error) {
        refusePolicy(limiter, error);
        throw error;
      }
      limiter.reload(next);
    },
    get isLeaving() {
      return context.phase !== "open";
    },
    leave() {
      if (context.phase === "open") context.phase = "leaving";
    },
    close() {
      closing ??= close(context, stop);
      return closing;
    },
  };
  return service;
}

async function close(context: ServiceContext, stop: AbortController): Promise<void> {
  context.phase = "stopping";
  const { bounds, events, keys, limiter, refusals } = context;
  events.close();
  const endsAtMs = performance.now() + bounds.stopMs;
  while (context.inFlight + context.waiting > 0 && performance.now() < endsAtMs)
    await new Promise((resolve) => setTimeout(resolve, 5));
  stop.abort();
  // Who waited for his turn hears of it before the limiter is gone.
  await new Promise(setImmediate);
  await limiter.close({ withinMs: bounds.closeMs });
  refusals.close();
  if (keys !== false) keys.close();
}

function readPolicy(given: ServiceOptions["policy"], source: string | undefined) {
  const read = typeof given === "string" ? readPolicyText(given, source) : definedPolicy(compiledPolicy(given));
  const { policy } = read;
  if (policy.dimensions.has(TAKEN)) {
    throw new MisuseError("invalid-policy", {
      path: "limits",
      expected: `dimensions with other names than ${TAKEN}, which GET /v1/usage reads itself`,
      got: TAKEN,
    });
  }
  return read;
}

function definedPolicy(policy: CompiledPolicy) {
  return { policy, warnings: (): readonly PolicyWarning[] => policyWarnings(policy) };
}

function logWarning(log: Log, { code, at, path, message, hint }: PolicyWarning): void {
  log.warn(
    { code, at, path, problem: hint === null ? message : `${message} ${hint}` },
    "a part of the policy has no effect as it is written",
  );
}

function asWritten(policy: CompiledPolicy, source = JSON.stringify(writtenPolicy(policy), null, 2)): PolicyInForce {
  const etag = createHash("sha256").update(source).digest("hex").slice(0, 32);
  return { policy, source, version: policy.version, etag };
}

/** Errors of the store and of the service itself: their messages are made of the program's words. */
function logFailure(
  log: Log | undefined,
  about: { readonly code: string; readonly requestId: string },
  error: unknown,
): void {
  const stack = about.code === "internal" && error instanceof Error ? error.stack : undefined;
  log?.error({ ...about, problem: reasonOf(error), stack }, "failed");
}
