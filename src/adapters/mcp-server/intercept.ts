// Where a server of either version gets a tool call: before its handler.

import { invalidOption } from "../../kernel/errors.ts";
import type { Context, Params } from "./request.ts";

// biome-ignore-start lint/suspicious/noExplicitAny: what differs between the SDK's versions must fit.
type Handler = (request: any, context: any) => any;

/** A low-level server of either version. */
export interface Server {
  setRequestHandler(...args: any[]): unknown;
  assertCanSetRequestHandler(method: any): void;
  fallbackRequestHandler?: Handler | undefined;
}
// biome-ignore-end lint/suspicious/noExplicitAny: until here.

/** Runs a tool if its call is allowed, and gives what to answer. */
export type Judge = (params: Params, context: Context, run: () => unknown) => Promise<unknown>;

/** The server that handles requests, which an `McpServer` has inside. */
export function lowLevel(server: Server | { readonly server: Server }): Server {
  const found = typeof server === "object" && server !== null && "server" in server ? server.server : server;
  if (typeof found?.setRequestHandler === "function" && typeof found.assertCanSetRequestHandler === "function") {
    return found;
  }
  throw invalidOption("server", "an McpServer or a Server", server);
}

/** Puts a judge before each handler of `tools/call`: the one that is there, and those that will be set. */
export function intercept(server: Server, judge: Judge): void {
  const judged = (handler: Handler): Handler => {
    return (request, context) =>
      request.method === "tools/call"
        ? judge(request.params ?? {}, context, () => handler(request, context))
        : handler(request, context);
  };
  guardPresent(server, judged);
  const set = server.setRequestHandler;
  server.setRequestHandler = (what, ...rest) => {
    const handler = rest.pop();
    if (typeof handler !== "function") return set.call(server, what, ...rest, handler);
    if (rest.length === 0) return set.call(server, what, judged(handler));
    // Version 2 gives such a handler the params alone, by a schema of its own.
    const own: Handler = (params, context) => judge(params, context, () => handler(params, context));
    return set.call(server, what, ...rest, what === "tools/call" ? own : handler);
  };
  let fallback = server.fallbackRequestHandler;
  Object.defineProperty(server, "fallbackRequestHandler", {
    get: () => (fallback === undefined ? undefined : judged(fallback)),
    set: (handler) => {
      fallback = handler;
    },
  });
}

/** Handlers that are set already are in a map of the SDK's own, in both versions, and nowhere else to be had. */
function guardPresent(server: Server, judged: (handler: Handler) => Handler): void {
  try {
    server.assertCanSetRequestHandler("tools/call");
    return;
  } catch {
    // There is one.
  }
  const handlers: unknown = (server as { _requestHandlers?: unknown })._requestHandlers;
  const handler: unknown = handlers instanceof Map ? handlers.get("tools/call") : undefined;
  if (typeof handler !== "function") {
    throw invalidOption(
      "server",
      "one whose tools are registered after it is guarded: this version hides its handlers",
      server,
    );
  }
  (handlers as Map<string, Handler>).set("tools/call", judged(handler as Handler));
}
