// From a request to its answer, the same way for every route: who asks, whether there is room, what the body says, the act,
// the answer as text. It makes nothing that it could have made before.

import type { Context } from "hono";
import type { Call } from "../kernel/call.ts";
import { formatFault } from "../kernel/errors.ts";
import { runFor } from "./acts/scope.ts";
import { type Caller, callerOf } from "./auth.ts";
import { parseBy, readBody } from "./body.ts";
import type { Asking, ServiceContext } from "./context.ts";
import type { Log } from "./log.ts";
import { notFor, type Place, ProblemError, stopping } from "./problems.ts";
import { LOGGED_SCOPE } from "./refusals.ts";
import { REQUEST_ID_HEADER, requestIds } from "./request-ids.ts";
import type { Route } from "./route.ts";

const JSON_HEADERS = { "content-type": "application/json" };
const FRESH_JSON_HEADERS = { ...JSON_HEADERS, "cache-control": "no-store" };
const PROBLEM = "application/problem+json";
const OPEN_ASKING = { keyId: null, tenants: null, mayClaim: false };

/** What answers the requests of one route. */
export function exchange(
  context: ServiceContext,
  route: Route,
  log: Log | undefined,
): (context: Context) => Promise<Response> {
  return ({ req }) => answer(context, route, log, req.raw);
}

async function answer(
  context: ServiceContext,
  route: Route,
  log: Log | undefined,
  request: Request,
): Promise<Response> {
  const startedMs = performance.now();
  let response: Response;
  if (route.isOpen !== true) context.inFlight++;
  try {
    if (route.isOpen !== true) admit(context);
    response = await act(context, route, request);
  } catch (error) {
    response = problemResponse(context.failed(error, { request, place: placeOf(route) }), request);
  } finally {
    if (route.isOpen !== true) context.inFlight--;
  }
  const takenMs = performance.now() - startedMs;
  context.metrics.answered(route.path, response.status, takenMs / 1_000);
  if (log?.isLevelEnabled("debug")) told(log, request, response, route, takenMs);
  return response;
}

/** Where a route's requests say what the limiter is asked. */
function placeOf({ scope, query }: Route): Place {
  if (query !== undefined) return "query";
  return scope === "decide" ? "call" : "body";
}

function admit({ inFlight, bounds, phase }: ServiceContext): void {
  if (phase === "stopping") throw stopping();
  if (inFlight > bounds.maxInFlight) throw new ProblemError("too-many-in-flight", "As many requests run as may.");
}

async function act(context: ServiceContext, route: Route, request: Request): Promise<Response> {
  const { headers } = request;
  const caller = callerFor(context, route, headers.get("authorization"));
  const asking: Asking = { caller, request };
  let body: unknown;
  if (route.request !== undefined) {
    const schema = route.reads ?? route.request;
    body = parseBy(schema, await readBody(request, context.bounds.maxBodyBytes));
    if (route.isOnce === true) body = underKey(body as { readonly call: Call }, headers.get("idempotency-key"));
  }
  const answered = await runFor(context, caller, () => route.run(context, asking, body));
  const named = { [REQUEST_ID_HEADER]: requestIds.of(request) };
  if (answered === null) return new Response(null, { status: 204, headers: named });
  if (answered instanceof Response) {
    answered.headers.set(REQUEST_ID_HEADER, requestIds.of(request));
    return answered;
  }
  const fixed = route.method === "GET" ? FRESH_JSON_HEADERS : JSON_HEADERS;
  return new Response(JSON.stringify(answered), { status: 200, headers: { ...fixed, ...named } });
}

/** The caller, if it may ask. A caller that may not administer is logged. */
function callerFor({ keys, refusals }: ServiceContext, { path, scope }: Route, authorization: string | null): Caller {
  if (scope === null) return OPEN_ASKING;
  try {
    return callerOf(keys, authorization, scope);
  } catch (error) {
    if (scope === LOGGED_SCOPE && error instanceof ProblemError) {
      refusals.add({ path, code: error.problem.code, keyId: error.keyId });
    }
    throw error;
  }
}

/** The body with the key of the header `Idempotency-Key` in its call. */
function underKey<Body extends { readonly call: Call }>(body: Body, header: string | null): Body {
  if (header === null) return body;
  const key = keyIn(header);
  if (key === null) {
    const expected = 'one key of visible ASCII characters, in quotes ("job-17") or bare (job-17)';
    throw wrongHeader(expected, `a header of ${header.length} characters`);
  }
  const { idempotencyKey } = body.call;
  if (idempotencyKey !== undefined && idempotencyKey !== key) {
    const expected = "the same key in the header and in the body";
    throw wrongHeader(expected, "two that differ");
  }
  return { ...body, call: { ...body.call, idempotencyKey: key } };
}

/** The key of a header: a string of RFC 8941, as the draft of this header wants it, or a bare one; `null` for others. */
function keyIn(header: string): string | null {
  const [, quoted, bare] =
    /^[ \t]*(?:"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"|([\x21\x23-\x2b\x2d-\x7e]+))[ \t]*$/.exec(header) ?? [];
  return quoted?.replace(/\\(.)/g, "$1") ?? bare ?? null;
}

function wrongHeader(expected: string, got: string): ProblemError {
  const fault = { path: "Idempotency-Key", expected, got };
  return new ProblemError("invalid-header", formatFault(fault), { faults: [fault] });
}

/** What is answered where no route is. */
export function unrouted(routes: readonly Route[], request: Request): ProblemError {
  const { pathname } = new URL(request.url);
  const methods = routes.filter(({ path }) => path === pathname).map(({ method }) => method);
  if (methods.length > 0)
    return notFor(methods.flatMap((each) => (each === "GET" ? ["GET", "HEAD"] : each)).join(", "));
  return new ProblemError("not-found", "There is no such path: /docs lists those that are.");
}

/** A problem as a response. */
export function problemResponse({ problem, headers }: ProblemError, request: Request | null): Response {
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: {
      "content-type": PROBLEM,
      "cache-control": "no-store",
      [REQUEST_ID_HEADER]: requestIds.of(request),
      ...headers,
    },
  });
}

function told(log: Log, request: Request, { status }: Response, { path }: Route, takenMs: number): void {
  const { method } = request;
  log.debug(
    { method, path, status, ms: Math.round(takenMs * 1_000) / 1_000, requestId: requestIds.of(request) },
    "answered",
  );
}
