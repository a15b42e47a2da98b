// The service as a function from a request to its answer: its limiter, keys, policies, metrics, log and events. node.ts listens.

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
import { answer, problemResponse, unrouted } from "./exchange.ts";
import { Metrics } from "./metrics.ts";
import { checkServiceOptions, type ServiceOptions } from "./options.ts";
import { Policies } from "./policies.ts";
import { problemOf } from "./problems.ts";
import { ReadinessWatch } from "./readiness.ts";
import { Refusals } from "./refusals.ts";
import { requestIdOf } from "./request-ids.ts";
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

/** A service: it answers requests about calls. */
export interface Service {
  /** The service's limiter, for other code in this process. */
  readonly limiter: Limiter;
  /** Whether callers need no key. */
  readonly isKeyless: boolean;
  readonly metrics: Metrics;
  /** Answers a request. It never rejects. */
  fetch(request: Request): Promise<Response>;
  /**
   * Applies another policy from now on.
   *
   * @throws MisuseError as `limiter.reload`, and nothing has changed
   */
  reload(policy: string | PolicyInput | Policy): void;
  /** Whether `leave` or `close` was called. */
  readonly isLeaving: boolean;
  /** From now on it says that it is not ready; it answers as before. */
  leave(): void;
  /**
   * Takes no new work, waits for requests in flight (at most `stopMs`), and closes the limiter, which goes on trying to book
   * what it admitted while the store was unreachable (`closeMs`). Closing twice is fine.
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
  for (const route of ROUTES) app.on(route.method, route.path, ({ req }) => answer(context, route, req.raw));
  app.notFound(({ req }) => problemResponse(unrouted(ROUTES, req.raw), req.raw));
  // `answer` catches what a route throws. This is for a fault of the log or of the metrics.
  app.onError((error, { req }) => problemResponse(context.problemFor(error, req.raw, "body"), req.raw));
  let closing: Promise<void> | undefined;
  return {
    limiter,
    isKeyless: options.keys === false,
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
  // With a journal and a fixed number of instances it knows its share before it has ever reached the store.
  const hasShare = typeof failover === "object" && failover.journal !== undefined && failover.instances !== undefined;
  const readiness = new ReadinessWatch(store, bounds.readyDeadlineMs, hasShare, (error) => {
    if (error === null) log?.info({}, "ready: the store answers");
    else log?.error({ code: codeOf(error), problem: reasonOf(error) }, "not ready: the store does not answer");
  });
  const events = new Events(bounds, () => limiter.policy, metrics);
  const limiter = limiterOf(options, policies.read(options.policy), { metrics, readiness, events });
  return {
    limiter,
    bounds,
    keys,
    events,
    log,
    metrics,
    readiness,
    refusals: new Refusals(log),
    audit: options.audit ?? ((act) => log?.info({ audit: act }, "audit")),
    stop,
    problemFor(error, request, place) {
      const problem = problemOf(error, place);
      const { status, code } = problem.problem;
      if (status >= 500 && problem !== error) {
        const stack = code === "internal" && error instanceof Error ? error.stack : undefined;
        log?.error({ code, requestId: requestIdOf(request), problem: reasonOf(error), stack }, "failed");
      }
      return problem;
    },
    get inForce() {
      return policies.inForce(limiter);
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
      events.sendDecision(decision, call);
      return onDecision?.(decision, call);
    },
    onEvent(event) {
      readiness.update(event);
      if (event.type === "policy.reloaded") metrics.countReload("applied");
      if (event.type === "policy.refused") metrics.countReload("refused");
      events.sendEvent(event);
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
  // Waiting calls get their answers before the limiter closes.
  await new Promise(setImmediate);
  await limiter.close({ withinMs: bounds.closeMs });
  refusals.close();
  if (keys !== false) keys.close();
}
