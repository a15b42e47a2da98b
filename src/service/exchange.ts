// From a request to its answer, the same way for every route: the caller, whether there is room, the body, the act, the answer
// as text. Every call takes this path, so constants are made once.

import { monotonicClock } from "../clock.ts";
import type { Call } from "../kernel/call.ts";
import { runFor } from "./acts/as-caller.ts";
import { CALLER_WITHOUT_KEY, type Caller, callerOf } from "./auth.ts";
import { parseBy, readBody } from "./body.ts";
import type { ServiceContext } from "./context.ts";
import type { Logger } from "./logger.ts";
import { type CallPlace, invalidHeader, notFor, PROBLEM_TYPE, ProblemError, stopping } from "./problems.ts";
import { REQUEST_ID_HEADER, requestIdOf } from "./request-ids.ts";
import { isOfRoute, type Route } from "./route.ts";

/** Longest text on what is wrong with a call, in a log line. */
const MAX_FAULT = 300;
const JSON_HEADERS = { "content-type": "application/json" };
const FRESH_JSON_HEADERS = { ...JSON_HEADERS, "cache-control": "no-store" };

export async function answer(context: ServiceContext, route: Route, request: Request): Promise<Response> {
  const startedMs = monotonicClock.nowMs();
  let response: Response;
  const isCounted = route.isUncounted !== true;
  if (isCounted) context.inFlight++;
  try {
    if (isCounted) admit(context);
    response = await act(context, route, request);
  } catch (error) {
    const problem = context.problemFor(error, request, placeOf(route));
    if (route.scope === "decide") noteRefused(context, route, problem);
    response = problemResponse(problem, request);
  } finally {
    if (isCounted) context.inFlight--;
  }
  const takenMs = monotonicClock.nowMs() - startedMs;
  context.metrics?.countAnswer(route.path, response.status, takenMs / 1_000);
  if (context.logger?.isLevelEnabled("debug")) logAnswer(context.logger, request, response, route, takenMs);
  return response;
}

/** Where a route's requests say what the limiter is asked. */
function placeOf({ scope, query }: Route): CallPlace {
  if (query !== undefined) return "query";
  return scope === "decide" ? "call" : "body";
}

function admit({ inFlight, bounds, phase }: ServiceContext): void {
  if (phase === "stopping") throw stopping();
  if (inFlight > bounds.maxInFlight)
    throw new ProblemError("too-many-in-flight", `${bounds.maxInFlight} requests are in flight already.`);
}

async function act(context: ServiceContext, route: Route, request: Request): Promise<Response> {
  const { headers } = request;
  const caller = callerFor(context, route, headers.get("authorization"));
  const asking = { context, caller, request };
  let body: unknown;
  if (route.request !== undefined) {
    const schema = route.reads ?? route.request;
    body = parseBy(schema, await readBody(request, context.bounds.maxBodyBytes));
    if (route.takesKey === true) body = underKey(body as { readonly call: Call }, headers.get("idempotency-key"));
  }
  const value = await runFor(asking, () => route.run(asking, body));
  const id = requestIdOf(request);
  if (value instanceof Response) {
    value.headers.set(REQUEST_ID_HEADER, id);
    return value;
  }
  if (value === null) return new Response(null, { status: 204, headers: { [REQUEST_ID_HEADER]: id } });
  const fixed = route.method === "GET" ? FRESH_JSON_HEADERS : JSON_HEADERS;
  return new Response(JSON.stringify(value), { status: 200, headers: { ...fixed, [REQUEST_ID_HEADER]: id } });
}

/** The caller, if it may ask. A request that is refused on a route of administrators is logged. */
function callerFor({ keys, refusals }: ServiceContext, { path, scope }: Route, authorization: string | null): Caller {
  if (scope === null) return CALLER_WITHOUT_KEY;
  try {
    return callerOf(keys, authorization, scope);
  } catch (error) {
    if (scope === "admin" && error instanceof ProblemError) {
      refusals.add({ path, code: error.problem.code, keyId: error.keyId });
    }
    throw error;
  }
}

/** A call that cannot be decided is not in the decision log: the log of the service has it. */
function noteRefused({ refusals }: ServiceContext, { path }: Route, { problem }: ProblemError): void {
  const { status, code, faults = [] } = problem;
  if (status !== 400) return;
  const [first] = faults;
  // What was found may be a secret of the caller.
  const fault = first === undefined ? null : `${first.path}: expected ${first.expected}`.slice(0, MAX_FAULT);
  refusals.add({ path, code, fault });
}

/** The body with the key of the header `Idempotency-Key` in its call. */
function underKey<Body extends { readonly call: Call }>(body: Body, header: string | null): Body {
  if (header === null) return body;
  const key = keyIn(header);
  if (key === null) {
    const expected = 'one key of visible ASCII characters, in quotes ("job-17") or bare (job-17)';
    throw invalidHeader(expected, `a header of ${header.length} characters`);
  }
  const { idempotencyKey } = body.call;
  if (idempotencyKey !== undefined && idempotencyKey !== key) {
    throw invalidHeader("the same key in the header and in the body", "two that differ");
  }
  return { ...body, call: { ...body.call, idempotencyKey: key } };
}

/** The key of a header: a string of RFC 8941, as the draft of this header wants it, or a bare one; `null` for others. */
function keyIn(header: string): string | null {
  const [, quoted, bare] =
    /^[ \t]*(?:"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"|([\x21\x23-\x2b\x2d-\x7e]+))[ \t]*$/.exec(header) ?? [];
  return quoted?.replace(/\\(.)/g, "$1") ?? bare ?? null;
}

/** The problem of a request that no route is for. */
export function unrouted(routes: readonly Route[], request: Request): ProblemError {
  const { pathname } = new URL(request.url);
  const methods = routes.filter((route) => isOfRoute(route, pathname)).map(({ method }) => method);
  if (methods.length > 0)
    return notFor(methods.flatMap((each) => (each === "GET" ? ["GET", "HEAD"] : each)).join(", "));
  const what = pathname === "/" ? "This is Tollgate, a service that decides calls of tools" : "There is no such path";
  return new ProblemError("not-found", `${what}: /docs lists the paths.`);
}

export function problemResponse({ problem, headers }: ProblemError, request: Request | null): Response {
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: {
      "content-type": PROBLEM_TYPE,
      "cache-control": "no-store",
      [REQUEST_ID_HEADER]: requestIdOf(request),
      ...headers,
    },
  });
}

function logAnswer(logger: Logger, request: Request, { status }: Response, { path }: Route, takenMs: number): void {
  const ms = Math.round(takenMs * 1_000) / 1_000;
  logger.debug({ method: request.method, path, status, ms, requestId: requestIdOf(request) }, "answered");
}
