// From a request to its answer, the same way for every route: who asks, whether there is room, what the body says, the act,
// the answer as text. It makes nothing that it could have made before.

import type { Context } from "hono";
import { z } from "zod";
import { callerOf } from "./auth.ts";
import { parseBy, readBody } from "./body.ts";
import type { Asking, Desk } from "./desk.ts";
import type { Log } from "./log.ts";
import { notFor, ProblemError, type RouteWords, stopping } from "./problems.ts";
import type { Route } from "./routes.ts";
import { callSchema } from "./schemas.ts";

const JSON_HEADERS = { "content-type": "application/json" };
const FRESH_JSON_HEADERS = { ...JSON_HEADERS, "cache-control": "no-store" };
const PROBLEM = "application/problem+json";
const REQUEST_ID = /^[\w.-]{1,64}$/;
const OPEN_ASKING = { keyId: null, tenants: null };

let numbered = 0;
/** Of this process; made with the first request. */
let run: string | undefined;

/** What answers the requests of one route. */
export function exchange(desk: Desk, route: Route, log: Log | undefined): (context: Context) => Promise<Response> {
  const words = wordsOf(route);
  return (context) => answer(desk, route, words, log, context.req.raw);
}

/** What a route calls the words of a call. */
function wordsOf({ request, query }: Route): RouteWords {
  const shape = request instanceof z.ZodObject && "tool" in request.shape ? request.shape : {};
  const beside = Object.keys(shape).filter((word) => !Object.hasOwn(callSchema.shape, word));
  return { beside, isQuery: query !== undefined };
}

async function answer(
  desk: Desk,
  route: Route,
  words: RouteWords,
  log: Log | undefined,
  request: Request,
): Promise<Response> {
  const startedMs = performance.now();
  let response: Response;
  if (route.isOpen !== true) desk.inFlight++;
  try {
    if (route.isOpen !== true) admit(desk);
    response = await act(desk, route, request);
  } catch (error) {
    response = problemResponse(desk.failed(error, words), request);
  } finally {
    if (route.isOpen !== true) desk.inFlight--;
  }
  const takenMs = performance.now() - startedMs;
  desk.metrics.answered(route.path, response.status, takenMs / 1_000);
  if (log?.isLevelEnabled("debug")) told(log, request, response, route, takenMs);
  return response;
}

function admit({ inFlight, bounds, phase }: Desk): void {
  if (phase === "stopping") throw stopping();
  if (inFlight > bounds.maxInFlight) throw new ProblemError(503, "too-many-requests", "As many requests run as may.");
}

async function act(desk: Desk, route: Route, request: Request): Promise<Response> {
  const { headers } = request;
  const caller = route.scope === null ? OPEN_ASKING : callerOf(desk.keys, headers.get("authorization"), route.scope);
  const asking: Asking = { caller, request };
  let body: unknown;
  if (route.request !== undefined) {
    const schema = route.reads ?? route.request;
    body = parseBy(schema, await readBody(request, desk.bounds.maxBodyBytes));
    if (route.isOnce === true) body = underKey(body as { idempotencyKey?: string }, headers.get("idempotency-key"));
  }
  const answered = await route.run(desk, asking, body);
  if (answered === null) return new Response(null, { status: 204 });
  if (answered instanceof Response) return answered;
  const isRead = route.method === "GET";
  return new Response(JSON.stringify(answered), { status: 200, headers: isRead ? FRESH_JSON_HEADERS : JSON_HEADERS });
}

/** The body with the key of the header `Idempotency-Key`. */
function underKey<Body extends { readonly idempotencyKey?: string }>(body: Body, header: string | null): Body {
  if (header === null) return body;
  const key = keyIn(header);
  if (key === null) {
    const expected = 'one key of visible ASCII characters, in quotes ("job-17") or bare (job-17)';
    throw wrongHeader("The header is not one key.", expected, `a header of ${header.length} characters`);
  }
  if (body.idempotencyKey !== undefined && body.idempotencyKey !== key) {
    const expected = "the same key in the header and in the body";
    throw wrongHeader("The header and the body name different keys.", expected, "two that differ");
  }
  return { ...body, idempotencyKey: key };
}

/** The key of a header: a string of RFC 8941, as the draft of this header wants it, or a bare one; `null` for others. */
function keyIn(header: string): string | null {
  const [, quoted, bare] =
    /^[ \t]*(?:"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"|([\x21\x23-\x2b\x2d-\x7e]+))[ \t]*$/.exec(header) ?? [];
  return quoted?.replace(/\\(.)/g, "$1") ?? bare ?? null;
}

function wrongHeader(detail: string, expected: string, got: string): ProblemError {
  return new ProblemError(400, "invalid-header", detail, { faults: [{ path: "Idempotency-Key", expected, got }] });
}

/** What is answered where no route is. */
export function unrouted(routes: readonly Route[], request: Request): ProblemError {
  const { pathname } = new URL(request.url);
  const methods = routes.filter(({ path }) => path === pathname).map(({ method }) => method);
  if (methods.length > 0)
    return notFor(methods.flatMap((each) => (each === "GET" ? ["GET", "HEAD"] : each)).join(", "));
  return new ProblemError(404, "not-found", "There is no such path: /docs lists those that are.");
}

/** A problem as a response. */
export function problemResponse({ problem, headers }: ProblemError, request: Request | null): Response {
  const id = idOf(request);
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { "content-type": PROBLEM, "cache-control": "no-store", "x-request-id": id, ...headers },
  });
}

const ids = new WeakMap<Request, string>();

/** The id that the request came with, else one of this process. */
export function idOf(request: Request | null): string {
  const given = request?.headers.get("x-request-id") ?? "";
  if (REQUEST_ID.test(given)) return given;
  const known = request === null ? undefined : ids.get(request);
  if (known !== undefined) return known;
  run ??= crypto.randomUUID().slice(0, 8);
  const id = `${run}-${(++numbered).toString(36)}`;
  if (request !== null) ids.set(request, id);
  return id;
}

function told(log: Log, request: Request, { status }: Response, { path }: Route, takenMs: number): void {
  const { method } = request;
  log.debug({ method, path, status, ms: Math.round(takenMs * 1_000) / 1_000, requestId: idOf(request) }, "answered");
}
