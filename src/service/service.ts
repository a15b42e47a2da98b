// How a service is made of its limiter, keys, policies, metrics, logger and events, on a runtime that may be a Worker's.

import { Hono } from "hono/tiny";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import { reasonOf } from "../kernel/reason.ts";
import {
  createHostedLimiter,
  type HostedLimiter,
  type Limiter,
  type ReloadOptions,
  withTelemetry,
} from "../limiter.ts";
import { inNextTurn, monotonicClock, sleep } from "../clock.ts";
import { boundsOf } from "./bounds.ts";
import type { ServiceContext } from "./context.ts";
import { docsPage } from "./docs-page.ts";
import { codeOf, logEvent } from "./event-log.ts";
import { Events } from "./events.ts";
import { answer, problemResponse, unrouted } from "./exchange.ts";
import type { Metrics } from "./metrics.ts";
import { checkServiceOptions, type ServiceOptions } from "./options.ts";
import type { OpenApi, ServicePart } from "./parts.ts";
import { Policies, type ReadPolicy } from "./policies.ts";
import { problemOf } from "./problems.ts";
import { ReadinessWatch } from "./readiness.ts";
import { Refusals } from "./refusals.ts";
import { requestIdOf } from "./request-ids.ts";
import type { Route } from "./route.ts";
import { ROUTES } from "./routes.ts";
import { tenantLog } from "./tenant-log.ts";

/** A service: it answers requests about calls. */
export interface Service {
  /** The service's limiter, for other code in this process. */
  readonly limiter: Limiter;
  /** Whether callers need no key. */
  readonly isKeyless: boolean;
  /** What it was given to count with. */
  readonly metrics: Metrics | undefined;
  /** Answers a request. It never rejects. */
  fetch(request: Request): Promise<Response>;
  /**
   * Applies another policy from now on.
   *
   * @throws MisuseError as `limiter.reload`, and nothing has changed
   */
  reload(policy: string | PolicyInput | Policy, options?: ReloadOptions): void;
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

/** What the runtime of a service can do. */
export interface Runtime {
  /** Whether timers and streams go on when the request that began them has its answer. In a Worker they end. */
  readonly hasTimers: boolean;
  readonly readPolicy: ReadPolicy;
}

/** A service on a runtime. Throws as `createService`. */
export function serviceOn(runtime: Runtime, options: ServiceOptions): Service {
  checkServiceOptions(options);
  // No Worker can make one when it starts. None is closed, either.
  const stop = runtime.hasTimers ? new AbortController() : null;
  const policies = new Policies(runtime.readPolicy, options);
  const routes = routesFor(runtime, options);
  const context = contextOf(runtime, options, policies, routes, stop?.signal);
  const { limiter, metrics } = context;
  const app = new Hono();
  for (const route of routes) app.on(route.method, route.path, ({ req }) => answer(context, route, req.raw));
  app.notFound(({ req }) => problemResponse(unrouted(routes, req.raw), req.raw));
  // `answer` catches what a route throws. This is for a fault of the logger or of the metrics.
  app.onError((error, { req }) => problemResponse(context.problemFor(error, req.raw, "body"), req.raw));
  let closing: Promise<void> | undefined;
  return {
    limiter,
    isKeyless: options.keys === false,
    metrics,
    fetch: async (request) => app.fetch(request),
    reload: (policy, options) => context.reload(policy, options),
    get isLeaving() {
      return context.phase !== "open";
    },
    leave() {
      if (context.phase === "open") context.phase = "leaving";
    },
    close() {
      closing ??= close(context, stop, options.parts);
      return closing;
    },
  };
}

/**
 * The routes of a service, with those of its parts: none for metrics where there are none, and none for events where a stream
 * ends with its request.
 */
function routesFor({ hasTimers }: Runtime, { metrics, parts = [] }: ServiceOptions): readonly Route[] {
  const own = ROUTES.filter(
    ({ path }) => (path !== "/metrics" || metrics !== undefined) && (path !== "/v1/events" || hasTimers),
  );
  return [...own, ...parts.flatMap(({ routes }) => routes)];
}

function contextOf(
  { hasTimers }: Runtime,
  options: ServiceOptions,
  policies: Policies,
  routes: readonly Route[],
  stop: AbortSignal | undefined,
): ServiceContext {
  const { store, keys, failover, logger, metrics } = options;
  const bounds = boundsOf(options.bounds);
  // With a journal and a fixed number of instances it knows its share before it has ever reached the store.
  const hasShare = typeof failover === "object" && failover.journal !== undefined && failover.instances !== undefined;
  const readiness = new ReadinessWatch(store, bounds.readyDeadlineMs, hasShare, (error) => {
    if (error === null) logger?.info({}, "ready: the store answers");
    else logger?.error({ code: codeOf(error), problem: reasonOf(error) }, "not ready: the store does not answer");
  });
  const events = new Events(bounds, () => limiter.policy, metrics);
  const limiter = limiterOf(options, policies.read(options.policy), { metrics, readiness, events });
  return {
    limiter,
    bounds,
    keys,
    events,
    logger,
    metrics,
    readiness,
    refusals: new Refusals(logger, hasTimers),
    logCounts: () => options.log?.counts?.() ?? null,
    documents: documentsOf(routes, options.parts),
    audit: options.audit ?? ((act) => logger?.info({ audit: act }, "audit")),
    stop,
    problemFor(error, request, place) {
      const problem = problemOf(error, place);
      const { status, code } = problem.problem;
      if (status >= 500 && problem !== error) {
        const stack = code === "internal" && error instanceof Error ? error.stack : undefined;
        logger?.error({ code, requestId: requestIdOf(request), problem: reasonOf(error), stack }, "failed");
      }
      return problem;
    },
    get inForce() {
      return policies.inForce(limiter);
    },
    reload(policy, options) {
      let next: CompiledPolicy;
      try {
        next = policies.read(policy);
      } catch (error) {
        limiter.policyRefused(error);
        throw error;
      }
      limiter.reload(next, options);
    },
    phase: "open",
    inFlight: 0,
    waiting: 0,
  };
}

function documentsOf(routes: readonly Route[], parts: readonly ServicePart[] = []): ServiceContext["documents"] {
  const make = async () => {
    // Few clients ask for it, so it is loaded with the first request.
    const { OPENAPI } = await import("./openapi.gen.ts");
    const { paths, ...others } = OPENAPI as OpenApi;
    const served = Object.entries(paths).filter(([path]) => routes.some((route) => route.path === path));
    let document: OpenApi = { ...others, paths: Object.fromEntries(served) };
    for (const part of parts) document = (await part.describe?.(document)) ?? document;
    return JSON.stringify(document);
  };
  let made: Promise<string> | undefined;
  return {
    openApi() {
      made ??= make();
      return made;
    },
    docs: () => docsPage(routes.filter(({ isHidden }) => isHidden !== true)),
  };
}

/** The service's limiter: its events reach the service's own listeners first, then the program's. */
function limiterOf(
  options: ServiceOptions,
  policy: CompiledPolicy,
  { metrics, readiness, events }: Pick<ServiceContext, "metrics" | "readiness" | "events">,
): HostedLimiter {
  const { store, failover = {}, prefix, quotas, denyCacheMs, log, logger, onDecision, onEvent } = options;
  const telemetry = metrics === undefined ? options.telemetry : withTelemetry(metrics.telemetry, options.telemetry);
  return createHostedLimiter({
    policy,
    store,
    failover,
    ...(prefix === undefined ? {} : { prefix }),
    ...(quotas === undefined ? {} : { quotas }),
    ...(denyCacheMs === undefined ? {} : { denyCacheMs }),
    ...(telemetry === undefined ? {} : { telemetry }),
    ...(log === undefined ? {} : { log: tenantLog(log) }),
    onDecision(decision, call) {
      if (decision.degraded === null) readiness.decided();
      events.sendDecision(decision, call);
      return onDecision?.(decision, call);
    },
    onEvent(event) {
      readiness.update(event);
      if (event.type === "policy.reloaded") metrics?.countReload("applied");
      if (event.type === "policy.refused") metrics?.countReload("refused");
      events.sendEvent(event);
      if (logger !== undefined) logEvent(logger, event);
      return onEvent?.(event);
    },
  }).via("http");
}

async function close(
  context: ServiceContext,
  stop: AbortController | null,
  parts: readonly ServicePart[] = [],
): Promise<void> {
  context.phase = "stopping";
  const { bounds, events, keys, limiter, refusals } = context;
  events.close();
  const endsAtMs = monotonicClock.nowMs() + bounds.stopMs;
  while (context.inFlight + context.waiting > 0 && monotonicClock.nowMs() < endsAtMs) await sleep(5);
  stop?.abort();
  // Waiting calls get their answers before the limiter closes.
  await new Promise<void>(inNextTurn);
  await limiter.close({ withinMs: bounds.closeMs });
  await Promise.allSettled(parts.map((part) => part.close?.()));
  refusals.close();
  if (keys !== false) keys.close();
}
