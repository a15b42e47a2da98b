// Every route in one table: method, path, who may, what goes in and out, what it does. The server, the OpenAPI document and
// the tests of who may do what are made from it.

import { z } from "zod";
import { STREAMED } from "../events.ts";
import { formatGot } from "../kernel/errors.ts";
import * as buckets from "./acts/buckets.ts";
import * as calls from "./acts/calls.ts";
import * as holds from "./acts/holds.ts";
import * as answers from "./answer-schemas.ts";
import { callerOf } from "./auth.ts";
import { batchRoute } from "./batch.ts";
import type { Asking, ServiceContext } from "./context.ts";
import { docsPage, problemsPage } from "./docs-page.ts";
import { notFor, ProblemError, stopping } from "./problems.ts";
import { invalidQuery, usageQuery } from "./query.ts";
import * as requests from "./request-schemas.ts";
import type { Route } from "./route.ts";

type Run<Body> = (context: ServiceContext, asking: Asking, body: Body) => unknown;

/** A route of one call: its body has passed its schema. */
function decide<Body>(
  path: Route["path"],
  operationId: string,
  summary: string,
  run: Run<Body>,
  more: Pick<Route, "request" | "item" | "response" | "isOnce">,
): Route {
  return { method: "POST", path, operationId, scope: "decide", summary, run: run as Run<unknown>, ...more };
}

/** What decides calls, and what follows from that: also as items of a batch. */
export const DECIDING: readonly Route[] = [
  decide(
    "/v1/consume",
    "consume",
    "Judge a call by every limit that matches, and charge all of them or none",
    calls.consume,
    {
      request: requests.consumeSchema,
      item: requests.consumeItemSchema,
      response: answers.decisionSchema,
      isOnce: true,
    },
  ),
  decide("/v1/record", "record", "Book a call that has happened, also past the quota", calls.record, {
    request: requests.callBodySchema,
    response: answers.decisionSchema,
    isOnce: true,
  }),
  decide("/v1/peek", "peek", "Answer as consume would, and charge nothing", calls.peek, {
    request: requests.callBodySchema,
    response: answers.decisionSchema,
  }),
  decide("/v1/reserve", "reserve", "Hold what a call is priced at until it is settled or released", holds.reserve, {
    request: requests.reserveSchema,
    item: requests.reserveItemSchema,
    response: answers.reservedSchema,
    isOnce: true,
  }),
  decide(
    "/v1/begin",
    "begin",
    "Charge a call that begins now, and hold what else it is priced at until it is settled",
    holds.begin,
    {
      request: requests.reserveSchema,
      item: requests.reserveItemSchema,
      response: answers.begunSchema,
      isOnce: true,
    },
  ),
  decide("/v1/settle", "settle", "Book what a held call took, and free the rest", holds.settle, {
    request: requests.settleSchema,
    response: answers.settlementSchema,
  }),
  decide("/v1/release", "release", "Free what is held", holds.release, {
    request: requests.releaseSchema,
    response: answers.settlementSchema,
  }),
  decide("/v1/extend", "extend", "Let a hold live longer", holds.extend, {
    request: requests.extendSchema,
    response: answers.extendedSchema,
  }),
  decide("/v1/report", "reportOutcome", "Say what came of a call, for limits of streaks", calls.report, {
    request: requests.reportSchema,
    response: z.null(),
  }),
  decide(
    "/v1/end",
    "end",
    "End a call that was begun: settle it and report what came of it, both or neither",
    holds.end,
    {
      request: requests.endSchema,
      response: answers.settlementSchema,
    },
  ),
];

const ADMINISTRATING: readonly Route[] = [
  {
    method: "POST",
    path: "/v1/grant",
    operationId: "grantUnits",
    scope: "admin",
    summary: "Add units to the quota of one bucket for some time",
    request: requests.grantSchema,
    response: answers.grantedSchema,
    run: buckets.grant as Run<unknown>,
  },
  {
    method: "POST",
    path: "/v1/revoke",
    operationId: "revokeGrant",
    scope: "admin",
    summary: "End a grant of one bucket before its time",
    request: requests.revokeSchema,
    response: answers.revokedSchema,
    run: buckets.revoke as Run<unknown>,
  },
  {
    method: "POST",
    path: "/v1/reset",
    operationId: "resetBucket",
    scope: "admin",
    summary: "Empty one bucket, and answer how it stood before and how it stands after",
    request: requests.resetSchema,
    response: answers.emptiedSchema,
    run: buckets.reset as Run<unknown>,
  },
];

const READING: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/usage",
    operationId: "getUsage",
    scope: "read",
    summary: "A page of how buckets stand and what is granted in them, of each limit whose dimensions are all given",
    query: requests.usageQuerySchema,
    response: answers.usagesSchema,
    run: (context, asking) => buckets.usage(context, asking, usageQuery(asking.request.url)),
  },
  {
    method: "GET",
    path: "/v1/policy",
    operationId: "getPolicy",
    scope: "read",
    summary: "The policy as it was written, and its version; the ETag names the text",
    response: answers.policyAnswerSchema,
    run: answerPolicy,
  },
  {
    method: "GET",
    path: "/v1/events",
    operationId: "listenToEvents",
    scope: "read",
    summary: "What happens, as server-sent events",
    query: z.object({
      types: z
        .string()
        .optional()
        .meta({ description: `Some of ${STREAMED.join(", ")}, with commas. Default: all.` }),
    }),
    response: "text/event-stream",
    isOpen: true,
    run: answerEvents,
  },
];

const TELLING: readonly Route[] = [
  {
    method: "GET",
    path: "/healthz",
    operationId: "getHealth",
    scope: null,
    summary: "Whether the process is up",
    response: answers.healthSchema,
    isOpen: true,
    run: () => ({ status: "up" }),
  },
  {
    method: "GET",
    path: "/readyz",
    operationId: "getReadiness",
    scope: null,
    summary: "Whether this instance should be sent requests: 200 or 503",
    response: answers.readySchema,
    isOpen: true,
    run: answerReady,
  },
  {
    method: "GET",
    path: "/metrics",
    operationId: "getMetrics",
    scope: null,
    summary: "Numbers of the service, for Prometheus",
    response: "text/plain",
    isOpen: true,
    run: async ({ metrics, inFlight, inForce }) =>
      new Response(await metrics.text(inFlight, inForce.version), { headers: { "content-type": metrics.contentType } }),
  },
  {
    method: "GET",
    path: "/openapi.json",
    operationId: "getOpenApi",
    scope: null,
    summary: "This API as OpenAPI 3.1",
    response: "application/json",
    isOpen: true,
    run: ({ openApi }) => new Response(openApi(), { headers: { "content-type": "application/json" } }),
  },
  {
    method: "GET",
    path: "/docs",
    operationId: "getDocs",
    scope: null,
    summary: "This API for people",
    response: "text/html",
    isOpen: true,
    run: () => docsPage(ROUTES),
  },
  {
    method: "GET",
    path: "/problems",
    operationId: "getProblems",
    scope: null,
    summary: "What each problem means: the page that the type of a problem names",
    response: "text/html",
    isOpen: true,
    run: () => problemsPage(),
  },
];

/** All routes. */
export const ROUTES: readonly Route[] = [...DECIDING, batchRoute(DECIDING), ...READING, ...ADMINISTRATING, ...TELLING];

function answerPolicy({ inForce }: ServiceContext, { caller, request }: Asking): unknown {
  if (caller.tenants !== null) throw new ProblemError("not-for-tenants", "The policy is for keys of no tenant.");
  const { source, version } = inForce;
  const etag = `"${inForce.etag}"`;
  const headers = { etag, "cache-control": "no-cache" };
  const known =
    request.headers
      .get("if-none-match")
      ?.split(",")
      .map((each) => each.trim().replace(/^W\//, "")) ?? [];
  if (known.includes(etag) || known.includes("*")) return new Response(null, { status: 304, headers });
  return new Response(JSON.stringify({ version, source }), {
    headers: { ...headers, "content-type": "application/json" },
  });
}

function answerEvents(context: ServiceContext, { caller, request }: Asking): Response {
  if (request.method !== "GET") throw notFor("GET");
  if (context.phase === "stopping") throw stopping();
  const asked = new URL(request.url).searchParams.get("types")?.split(",") ?? STREAMED;
  const unknown = asked.find((type) => !STREAMED.includes(type));
  if (unknown !== undefined) throw invalidQuery("types", `some of ${STREAMED.join(", ")}`, formatGot(unknown));
  const types = new Set(asked);
  const authorization = request.headers.get("authorization");
  const isAllowed = () => {
    try {
      // One whose key has other tenants by now must open the stream again.
      const { tenants } = callerOf(context.keys, authorization, "read");
      return JSON.stringify(tenants) === JSON.stringify(caller.tenants);
    } catch {
      return false;
    }
  };
  return new Response(context.events.listen({ tenants: caller.tenants, types, isAllowed }), {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" },
  });
}

async function answerReady({ readiness, phase }: ServiceContext): Promise<Response> {
  const now = phase === "open" ? await readiness.now() : { status: "stopping", reason: null, awayMs: null };
  const status = now.status === "ready" || now.status === "degraded" ? 200 : 503;
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return new Response(JSON.stringify(now), { status, headers });
}
