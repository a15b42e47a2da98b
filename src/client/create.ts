// How a remote limiter is made from its options.

import { compiledPolicy } from "../kernel/policy/parse.ts";
import { emitEvent } from "../limiter/listener.ts";
import { measured } from "../limiter/measured.ts";
import { decisionListener, eventListener } from "../limiter/telemetry.ts";
import type { Limiter, LimiterEvent } from "../limiter.ts";
import { Away } from "./away.ts";
import type { ClientContext } from "./context.ts";
import { type ClientOptions, checkClientOptions } from "./options.ts";
import { ServiceLimiter } from "./service-limiter.ts";
import { Wire } from "./wire.ts";

/** @throws as `createRemoteLimiter` */
export function createServiceLimiter(options: ClientOptions): Limiter {
  const url = checkClientOptions(options);
  const { apiKey, deadlineMs = 1_000, idempotency = "auto", failover, telemetry } = options;
  const hooks = telemetry?.observe(failover === undefined ? null : compiledPolicy(failover.policy)) ?? null;
  const onEvent = eventListener(hooks, options.onEvent);
  // Some runtimes refuse to call fetch as a method of another object.
  const send = options.fetch ?? ((...args: Parameters<typeof fetch>) => fetch(...args));
  const wire = new Wire({ url, apiKey, deadlineMs, fetch: send });
  const emit = (event: LimiterEvent) => emitEvent({ onEvent }, event);
  const context: ClientContext = {
    wire,
    away: failover === undefined ? null : new Away(wire, failover, emit),
    isKeyed: idempotency === "auto",
    onDecision: decisionListener(hooks, options.onDecision),
    onEvent,
    hooks,
    ending: new AbortController(),
    closing: null,
  };
  const limiter = new ServiceLimiter(context, {});
  return hooks === null ? limiter : measured(limiter, hooks);
}
