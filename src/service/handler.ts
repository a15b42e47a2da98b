// The service as a function from a request to its answer: the limiter, who may ask it, and what is told of it. It listens
// nowhere (node.ts does).

import { Hono } from "hono/tiny";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import { reasonOf } from "../kernel/reason.ts";
import { createHostedLimiter, type HostedLimiter, type Limiter, withTelemetry } from "../limiter.ts";
import { boundsOf } from "./bounds.ts";
import type { ServiceContext } from "./context.ts";
import { codeOf, logEvent } from "./event-log.ts";
import { Events } from "./events.ts";
import { exchange, problemResponse, unrouted } from "./exchange.ts";
import type { Log } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { openApiDocument } from "./openapi.ts";
import { checkServiceOptions, type ServiceOptions } from "./options.ts";
import { Policies } from "./policies.ts";
import { problemOf } from "./problems.ts";
import { ReadinessWatch } from "./readiness.ts";
import { Refusals } from "./refusals.ts";
import { requestIds } from "./request-ids.ts";
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
  const stop = new AbortController();
  const policies = new Policies(options);
  const context = contextOf(options, policies, stop.signal);
  const { limiter, metrics } = context;
  const app = new Hono();
  for (const route of ROUTES) app.on(route.method, route.path, exchange(context, route, options.log));
  app.notFound(({ req }) => problemResponse(unrouted(ROUTES, req.raw), req.raw));
  app.onError((error, { req }) => problemResponse(context.failed(error, { request: req.raw, place: "body" }), req.raw));
  let closing: Promise<void> | undefined;
  return {
    limiter,
    isOpen: options.keys === false,
    metrics,
    fetch: async (request) => app.fetch(request),
    reload(policy) {
      let next: CompiledPolicy;
      try {
        next = policies.read(policy);
      } catch (error) {
        limiter.policyRefused(error);
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
}

function contextOf(options: ServiceOptions, policies: Policies, stop: AbortSignal): ServiceContext {
  const { store, keys, failover, log } = options;
  const bounds = boundsOf(options.bounds);
  const metrics = new Metrics(ROUTES);
  const hasShare = typeof failover === "object" && failover.journal !== undefined && failover.instances !== undefined;
  const readiness = new ReadinessWatch(store, bounds.readyDeadlineMs, hasShare, (error) => {
    if (error === null) log?.info({}, "ready: the store answers");
    else log?.error({ code: codeOf(error), problem: reasonOf(error) }, "not ready: the store does not answer");
  });
  const events = new Events(bounds, () => policies.inForce(limiter).policy, metrics);
  const limiter = limiterOf(options, policies.read(options.policy), { metrics, readiness, events });
  let openApi: string | undefined;
  return {
    limiter,
    bounds,
    keys,
    events,
    metrics,
    readiness,
    refusals: new Refusals(log),
    audit: options.audit ?? ((act) => log?.info({ audit: act }, "audit")),
    stop,
    failed(error, { request, place }) {
      const problem = problemOf(error, place);
      if (problem.problem.status >= 500 && problem !== error) {
        logFailure(log, { code: problem.problem.code, requestId: requestIds.of(request) }, error);
      }
      return problem;
    },
    get inForce() {
      return policies.inForce(limiter);
    },
    openApi() {
      openApi ??= JSON.stringify(openApiDocument(ROUTES));
      return openApi;
    },
    phase: "open",
    inFlight: 0,
    waiting: 0,
  };
}

/** The service's limiter: its events reach the service's own listeners first, then the program's. */
function limiterOf(
  options: ServiceOptions,
  policy: CompiledPolicy,
  { metrics, readiness, events }: Pick<ServiceContext, "metrics" | "readiness" | "events">,
): HostedLimiter {
  const { store, failover = {}, prefix, quotas, denyCacheMs, log, onDecision, onEvent } = options;
  return createHostedLimiter({
    policy,
    store,
    failover,
    ...(prefix === undefined ? {} : { prefix }),
    ...(quotas === undefined ? {} : { quotas }),
    ...(denyCacheMs === undefined ? {} : { denyCacheMs }),
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

/** Errors of the store and of the service itself: their messages are made of the program's words. */
function logFailure(
  log: Log | undefined,
  about: { readonly code: string; readonly requestId: string },
  error: unknown,
): void {
  const stack = about.code === "internal" && error instanceof Error ? error.stack : undefined;
  log?.error({ ...about, problem: reasonOf(error), stack }, "failed");
}
