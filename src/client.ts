// The same limiter over HTTP: the decisions of `tollgate serve`, as an object in this process. It needs nothing but `fetch`, so it
// runs on Node, on Workers and on other server runtimes. limiter/api.ts is the manual, client/api.ts has what differs, and
// client/service-limiter.ts is the way of one call.

import type { RemoteLimiter } from "./client/api.ts";
import type { ClientContext } from "./client/context.ts";
import { type ClientOptions, readClientOptions } from "./client/options.ts";
import { ServiceLimiter } from "./client/service-limiter.ts";
import { Wire } from "./client/wire.ts";
import type { Policy } from "./kernel/policy/parse.ts";
import type { Limiter } from "./limiter.ts";
import { emitEvent } from "./limiter/listener.ts";
import { measured } from "./limiter/measured.ts";
import { decisionListener, eventListener } from "./limiter/telemetry.ts";

export type { RemoteLimiter } from "./client/api.ts";
export type { ClientFailover, ClientOptions } from "./client/options.ts";

/**
 * Makes a limiter that asks a service. Calls of one tick are sent in one request. `reload` changes only the policy for outages of
 * the service. The service bounds a call's `maxWaitMs` (30 s by default).
 *
 * @throws MisuseError `invalid-option`, `invalid-policy`
 *
 * @example
 * ```ts
 * import { createRemoteLimiter } from "tollgate/client";
 * import { createService } from "tollgate/service";
 * import { listen } from "tollgate/service/node";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const policy = "version: 1\nlimits: [{ name: per-session, per: [session], quota: 2 }]";
 * const server = await listen(createService({ policy, store: memoryStore(), keys: false }), { port: 0 });
 *
 * const limiter = createRemoteLimiter({ url: server.url });
 * const decision = await limiter.consume({ tool: "search", session: "s1" });
 * console.log(decision.verdicts[0]?.remaining); // 1
 * await limiter.close();
 * await server.close();
 * ```
 */
export function createRemoteLimiter<P extends Policy = Policy>(options: ClientOptions<P>): RemoteLimiter<P> {
  // The compiler's view of the policy ends here: everything is checked again at run time, for every caller.
  const { failover, telemetry, idempotency, ...read } = readClientOptions(options as unknown as ClientOptions);
  const hooks = telemetry?.observe(failover?.policy ?? null) ?? null;
  const onEvent = eventListener(hooks, read.onEvent);
  // Some runtimes refuse to call fetch as a method of another object.
  const send = read.fetch ?? ((...args: Parameters<typeof fetch>) => fetch(...args));
  const wire = new Wire({ url: read.url, apiKey: read.apiKey, deadlineMs: read.deadlineMs, fetch: send });
  const context: ClientContext = {
    wire,
    away: failover?.open(wire, (event) => emitEvent({ onEvent }, event)) ?? null,
    isKeyed: idempotency === "auto",
    onDecision: decisionListener(hooks, read.onDecision),
    onEvent,
    hooks,
    waiting: new Set(),
    undecided: new Set(),
    closing: null,
  };
  const limiter: Limiter = new ServiceLimiter(context, {});
  return (hooks === null ? limiter : measured(limiter, hooks)) as RemoteLimiter<P>;
}
