// A guard for your own MCP server, of the SDK 1 or 2: each `tools/call` is judged before its tool runs.
// Everything is structural: nothing of the SDK is imported.

import type { Dimensions } from "../kernel/call.ts";
import type { Allowed, Denied } from "../kernel/decision.ts";
import { checkOptionKeys, formatGot, invalidOption } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { AnyOf, Lacking, OnlyDimensions, Served, Serving } from "../kernel/policy/typed.ts";
import { askedBy, type Limiter, warn } from "../limiter.ts";
import { fieldsOf, Guard } from "./guard.ts";
import { intercept, type Judge, lowLevel, type Server } from "./mcp-server/intercept.ts";
import { type McpRequest, requestOf, verified } from "./mcp-server/request.ts";

export type { McpRequest } from "./mcp-server/request.ts";

/** How a server is guarded. */
export interface McpServerOptions<Given = Dimensions> {
  /**
   * The dimensions of a request's call. They override what the limiter is bound to. Default: `session` from `sessionId`,
   * `user` and `tenant` from `authInfo.extra.userId` and `.tenantId`, `agent` from `authInfo.clientId`, where there are such.
   */
  readonly dimensions?: ((request: McpRequest) => Given | PromiseLike<Given>) | undefined;
  /**
   * How long a call may wait until its limits allow it, 0 to 3,600,000 ms, instead of being denied at once. Default 0. A
   * client that cancels its request, or whose own time for it is over, ends the wait.
   */
  readonly maxWaitMs?: number | undefined;
  /**
   * Called with the reason when a call could not be judged: the store is away, or `dimensions` lacks one of the policy. The
   * client reads `Internal error` alone. Default: a process warning.
   */
  readonly onFault?: ((error: unknown) => unknown) | undefined;
}

/** The dimensions that requests have without the option `dimensions`. */
type Verified = "session" | "user" | "tenant" | "agent";

const INVALID_PARAMS = -32602;
const INTERNAL_ERROR = -32603;
/** JSON-RPC leaves such codes to applications. */
const TOO_MANY = 429;

/**
 * Guards every `tools/call` of a server, and returns it: an `McpServer` or a `Server`, before or after its tools are
 * registered.
 *
 * @throws MisuseError `invalid-option`
 */
export type McpServerGuard = <Guarded extends Server | { readonly server: Server }>(server: Guarded) => Guarded;

/**
 * A guard for servers. A denied call gets a result with `isError`, words for the model, and numbers in
 * `_meta["tollgate/denial"]`.
 *
 * @param limiter over stdio bound to whose server it is: `limiter.for({ session })`
 * @throws MisuseError `invalid-option`
 */
export function mcpServerGuard<P extends Policy, Bound extends string>(
  limiter: Limiter<P, Bound> & Served<P, Bound | Verified>,
  options?: McpServerOptions<AnyOf<P>>,
): McpServerGuard;
export function mcpServerGuard<P extends Policy, Bound extends string, const Given extends Lacking<P, Bound>>(
  limiter: Limiter<P, Bound>,
  options: McpServerOptions<Given & OnlyDimensions<P, Given>> & Serving<P, Bound>,
): McpServerGuard;
export function mcpServerGuard(limiter: unknown, options: McpServerOptions<unknown> = {}): McpServerGuard {
  checkOptionKeys(options, ["dimensions", "maxWaitMs", "onFault"]);
  const { dimensions = verified, maxWaitMs, onFault = warnOf } = options;
  for (const [name, option] of Object.entries({ dimensions, onFault })) {
    if (typeof option !== "function") throw invalidOption(name, "a function", option);
  }
  const guard = new Guard(
    askedBy(limiter as Limiter, "mcp-server"),
    { maxWaitMs },
    "the option dimensions, or bound by limiter.for",
  );
  const judge: Judge = async ({ name: tool, arguments: args, task }, context, run) => {
    if (typeof tool !== "string" || tool === "") throw rpcError(INVALID_PARAMS, "No tool is named");
    const { id, signal } = context.mcpReq ?? { id: context.requestId, signal: context.signal };
    let hasBegun = false;
    let result: unknown;
    const begin = async () => {
      hasBegun = true;
      result = await run();
      if (isFailure(result)) throw FAILED;
      return result;
    };
    const asked = async () => {
      const whose = (await dimensions(requestOf(tool, context))) as Dimensions;
      return guard.run({ ...whose, tool, args, toolCallId: String(id) }, begin, { signal });
    };
    const ran = await asked().catch((error: unknown) => {
      if (error === FAILED) return null;
      if (hasBegun || signal?.aborted === true) throw error;
      Promise.resolve(error).then(onFault).catch(warnOf);
      throw rpcError(INTERNAL_ERROR, "Internal error");
    });
    if (ran === null) return result;
    return ran.allowed ? noticedResult(result, ran) : denialOf(ran, task);
  };
  return (server) => {
    intercept(lowLevel(server), judge);
    return server;
  };
}

/** Thrown so that the limiter settles a failed call; the client still gets the result. */
const FAILED = new Error("the tool's result says that it failed");

function isFailure(result: unknown): boolean {
  return (result as { isError?: unknown } | null | undefined)?.isError === true;
}

/** The result with the notice beside it, as content of its own that is for the model alone. */
function noticedResult(result: unknown, { notice }: Allowed): unknown {
  const content = (result as { content?: unknown } | null | undefined)?.content;
  if (notice === null || !Array.isArray(content)) return result;
  const block = { type: "text", text: notice, annotations: { audience: ["assistant"] } };
  return { ...(result as object), content: [...content, block] };
}

/** Has no `structuredContent`: clients hold that against the tool's schema, and throw. */
function denialOf(decision: Denied, task: unknown): unknown {
  const fields = fieldsOf(decision);
  const { message: text } = decision;
  // Who asked for a task does not take a result.
  if (task !== undefined) throw rpcError(TOO_MANY, text, fields);
  return { isError: true, content: [{ type: "text", text }], _meta: { "tollgate/denial": fields } };
}

/** What the SDK answers a request with when its handler throws it. */
function rpcError(code: number, message: string, data?: unknown): Error {
  return Object.assign(new Error(message), { code, data });
}

function warnOf(error: unknown): void {
  const what = error instanceof Error ? `${error.name}: ${error.message}` : formatGot(error);
  warn(`a tools/call could not be judged: ${what}`);
}
