// Every route in one table: method, path, who may, what goes in and out, what it does. The server, the OpenAPI document and
// the tests of who may do what are made from it.

import * as v from "valibot";
import { STREAMED } from "../events.ts";
import { formatGot } from "../kernel/errors.ts";
import * as buckets from "./acts/buckets.ts";
import * as calls from "./acts/calls.ts";
import * as holds from "./acts/holds.ts";
import * as answers from "../http/answers.ts";
import { callerOf } from "./auth.ts";
import { batchRoute } from "./batch.ts";
import type { Asking } from "./context.ts";
import { problemsPage } from "./docs-page.ts";
import { invalidQuery, ProblemError, stopping } from "./problems.ts";
import { usageQuery } from "./query.ts";
import * as requests from "../http/requests.ts";
import { described, open, text } from "../http/schema-parts.ts";
import type { Route } from "./route.ts";

/** A route that changes something: its body has passed its schema. Its `operationId` is `name` unless `more` has one. */
function post<Body>(
  scope: "decide" | "admin",
  name: string,
  summary: string,
  run: (asking: Asking, body: Body) => unknown,
  more: Pick<Route, "request" | "response" | "takesKey"> & Partial<Pick<Route, "operationId">>,
): Route {
  return { method: "POST", path: `/v1/${name}`, operationId: name, scope, summary, run: run as Route["run"], ...more };
}

/** What decides calls, and what follows from that: also as items of a batch. */
export const DECIDING: readonly Route[] = [
  post("decide", "consume", "Judge a call by every limit that matches, and charge all of them or none", calls.consume, {
    request: requests.consumeSchema,
    response: answers.decisionSchema,
    takesKey: true,
  }),
  post("decide", "record", "Book a call that has happened, also past the quota", calls.record, {
    request: requests.callBodySchema,
    response: answers.decisionSchema,
    takesKey: true,
  }),
  post("decide", "peek", "Answer as consume would, and charge nothing", calls.peek, {
    request: requests.callBodySchema,
    response: answers.decisionSchema,
  }),
  post("decide", "reserve", "Hold the estimate of a call until it is settled or released", holds.reserve, {
    request: requests.reserveSchema,
    response: answers.reservedSchema,
    takesKey: true,
  }),
  post(
    "decide",
    "begin",
    "Charge a call that begins now, and hold the rest of its estimate until it is settled",
    holds.begin,
    {
      request: requests.reserveSchema,
      response: answers.begunSchema,
      takesKey: true,
    },
  ),
  post("decide", "settle", "Book what a held call took, and free the rest", holds.settle, {
    request: requests.settleSchema,
    response: answers.settlementSchema,
  }),
  post("decide", "release", "Free what is held", holds.release, {
    request: requests.releaseSchema,
    response: answers.settlementSchema,
  }),
  post("decide", "extend", "Let a hold live longer", holds.extend, {
    request: requests.extendSchema,
    response: answers.extendedSchema,
  }),
  post("decide", "report", "Say what came of a call, for limits of streaks", calls.report, {
    operationId: "reportOutcome",
    request: requests.reportSchema,
    response: v.null("nothing"),
  }),
  post("decide", "end", "End a call that was begun: settle it and report its outcome, both or neither", holds.end, {
    request: requests.endSchema,
    response: answers.settlementSchema,
  }),
];

const ADMINISTRATING: readonly Route[] = [
  post("admin", "grant", "Add units to the quota of one bucket for some time", buckets.grant, {
    operationId: "grantUnits",
    request: requests.grantSchema,
    response: answers.grantedSchema,
  }),
  post("admin", "revoke", "End a grant of one bucket before its time", buckets.revoke, {
    operationId: "revokeGrant",
    request: requests.revokeSchema,
    response: answers.revokedSchema,
  }),
  post("admin", "reset", "Empty one bucket, and answer how it stood before and how it stands after", buckets.reset, {
    operationId: "resetBucket",
    request: requests.resetSchema,
    response: answers.emptiedSchema,
  }),
];

const TYPES_OF_EVENTS = `Some of ${STREAMED.join(", ")}, with commas. Default: all.`;

const READING: readonly Route[] = [
  {
    method: "GET",
    path: "/v1/usage",
    operationId: "getUsage",
    scope: "read",
    summary: "A page of how buckets stand and what is granted in them, of each limit whose dimensions are all given",
    query: requests.usageQuerySchema,
    response: answers.usagesSchema,
    run: (asking) => buckets.usage(asking, usageQuery(asking.request.url)),
  },
  {
    method: "GET",
    path: "/v1/policy",
    operationId: "getPolicy",
    scope: "read",
    summary: "The policy as it was written, and its version; the ETag names the text",
    response: answers.policyAnswerSchema,
    also: { 304: "The version that is known" },
    run: answerPolicy,
  },
  {
    method: "GET",
    path: "/v1/events",
    operationId: "listenToEvents",
    scope: "read",
    summary: "What happens, as server-sent events",
    query: open({ types: described(v.optional(text), TYPES_OF_EVENTS) }),
    response: "text/event-stream",
    isUncounted: true,
    run: answerEvents,
  },
];

/** A route about the service itself, which needs no key. */
function serviceRoute(
  path: Route["path"],
  operationId: string,
  summary: string,
  response: Route["response"],
  run: Route["run"],
): Route {
  return { method: "GET", path, operationId, scope: null, summary, response, isUncounted: true, run };
}

const ABOUT_SERVICE: readonly Route[] = [
  serviceRoute("/healthz", "getHealth", "Whether the process is up", answers.healthSchema, () => ({ status: "up" })),
  {
    ...serviceRoute(
      "/readyz",
      "getReadiness",
      "Whether this instance should get requests",
      answers.readySchema,
      answerReady,
    ),
    also: { 503: "Not to be sent requests" },
  },
  serviceRoute("/metrics", "getMetrics", "Numbers of the service, for Prometheus", "text/plain", answerMetrics),
  serviceRoute("/openapi.json", "getOpenApi", "This API as OpenAPI 3.1", "application/json", answerOpenApi),
  serviceRoute("/docs", "getDocs", "This API for people", "text/html", ({ context }) => context.documents.docs()),
  serviceRoute("/problems", "getProblems", "The page that the type of a problem names", "text/html", problemsPage),
];

export const ROUTES: readonly Route[] = [
  ...DECIDING,
  batchRoute(DECIDING),
  ...READING,
  ...ADMINISTRATING,
  ...ABOUT_SERVICE,
];

function answerPolicy({ context, caller, request }: Asking): Response {
  if (caller.tenants !== null) throw new ProblemError("not-for-tenants", "The policy is for keys of no tenant.");
  const { source, etag: hash } = context.inForce;
  const etag = `"${hash}"`;
  const headers = { etag, "cache-control": "no-cache" };
  const known = (request.headers.get("if-none-match") ?? "").split(",").map((each) => each.trim().replace(/^W\//, ""));
  if (known.includes(etag) || known.includes("*")) return new Response(null, { status: 304, headers });
  return new Response(JSON.stringify({ version: context.limiter.policy.version, source }), {
    headers: { ...headers, "content-type": "application/json" },
  });
}

function answerEvents({ context, caller, request }: Asking): Response {
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
  // The router sends HEAD here, too: it gets the headers, and leaves no listener behind.
  const isHead = request.method === "HEAD";
  const stream = isHead ? null : context.events.listen({ tenants: caller.tenants, types, isAllowed });
  return new Response(stream, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" },
  });
}

async function answerReady({ context: { readiness, phase } }: Asking): Promise<Response> {
  const now = phase === "open" ? await readiness.now() : { status: "stopping", reason: null, awayMs: null };
  const status = now.status === "ready" || now.status === "degraded" ? 200 : 503;
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return new Response(JSON.stringify(now), { status, headers });
}

async function answerMetrics({ context: { metrics, inFlight, limiter, logCounts } }: Asking): Promise<Response> {
  // Without metrics the service does not have this route.
  const text = await metrics?.text(inFlight, limiter.policy.version, logCounts());
  return new Response(text, { headers: { "content-type": metrics?.contentType ?? "text/plain" } });
}

async function answerOpenApi({ context }: Asking): Promise<Response> {
  return new Response(await context.documents.openApi(), { headers: { "content-type": "application/json" } });
}
