// How a limiter is made from its options.

import { monotonicClock, systemClock } from "../clock.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import { allotmentsOf, compiledPolicy } from "../kernel/policy/parse.ts";
import type { LayerSettings } from "../store/store.ts";
import { checkedReply } from "./ask.ts";
import { CalendarSpecs } from "./calendar-specs.ts";
import { CallCache } from "./call-cache.ts";
import type { LimiterContext } from "./context.ts";
import type { LogHooks } from "./decision-log.ts";
import type { LimiterEvent } from "./events.ts";
import type { HostedLimiter } from "./hosted.ts";
import { emitEvent } from "./listener.ts";
import { withLoggedEvents } from "./logging.ts";
import { measured } from "./measured.ts";
import { checkLimiterOptions, type LimiterOptions, MAX_DENIED_MS } from "./options.ts";
import { checkResolver, QuotaLookup } from "./quotas.ts";
import { SlotQueues } from "./slots.ts";
import { StoreLimiter } from "./store-limiter.ts";
import { decisionListener, eventListener } from "./telemetry.ts";

/**
 * Makes a limiter, with the methods that only a service or a client uses.
 *
 * @throws as `createLimiter`
 */
export function createHostedLimiter(options: LimiterOptions): HostedLimiter {
  checkLimiterOptions(options);
  const { store, prefix = "rate", failover = {}, denyCacheMs = MAX_DENIED_MS, telemetry } = options;
  const policy = compiledPolicy(options.policy);
  checkResolver(options.quotas, policy);
  const checkPolicy = (next: CompiledPolicy) => store.checkPolicy?.(next);
  checkPolicy(policy);
  const hooks = telemetry?.observe(policy) ?? null;
  let log: LogHooks | null = null;
  const told = eventListener(hooks, options.onEvent);
  const onEvent = options.log === undefined ? told : withLoggedEvents(() => log, told);
  const clock = store.clock ?? monotonicClock;
  const emit = (event: LimiterEvent) => emitEvent({ onEvent }, event);
  const settings: LayerSettings = {
    group: prefix,
    failover,
    denyCacheMs,
    clock,
    emit: onEvent && ((event) => emitOfStore(context, event)),
  };
  const layers = store.layers?.(store, settings) ?? { store, deadlineMs: store.deadlineMs };
  const { giveBack = (requests) => store.apply(requests) } = layers;
  const calendar = new CalendarSpecs(systemClock.nowMs);
  calendar.load(policy);
  // Nothing throws after it: a limiter that cannot be made would never release its log.
  log = options.log?.observe(policy, emit) ?? null;
  const context: LimiterContext = {
    policy,
    callCache: new CallCache(policy, prefix),
    prefix,
    quotaLookup: new QuotaLookup(options.quotas ?? null, clock, emit),
    layers,
    store: layers.store,
    checkPolicy,
    calendar,
    onDecision: decisionListener(hooks, options.onDecision),
    onEvent,
    hooks,
    log,
    clock,
    isStoreClock: store.clock !== undefined,
    sleepCounts: new Map(),
    slots: new SlotQueues(clock),
    unfinishedWaits: new Set(),
    endSleeps: new Set(),
    undo: async (request) => {
      const [answer] = await giveBack([request]);
      return checkedReply(request, answer);
    },
    closing: null,
  };
  const limiter = new StoreLimiter(context, {}, "library");
  return hooks === null ? limiter : measured(limiter, hooks);
}

/** Emits what happened to the store. A new number of instances is emitted only when some quota has fewer units (`no_share`). */
function emitOfStore(context: LimiterContext, event: Parameters<NonNullable<LayerSettings["emit"]>>[0]): void {
  if (event.type !== "instances") {
    emitEvent(context, event);
    return;
  }
  const { instances } = event;
  const isTooSmall = (limit: Limit) =>
    limit.onStoreError === "share" &&
    allotmentsOf(limit).some(({ quota }) => quota !== null && quota > 0 && quota < instances);
  const limits = context.policy.limits.filter(isTooSmall).map(({ name }) => name);
  if (limits.length > 0) emitEvent(context, { type: "failover.no_share", instances, limits });
}
