// What a server-sent event says of an event of the limiter. Who is bound to tenants is told of their own buckets alone, in their
// own names, and not the reasons of administrators.

import { EVENTS, type EventOf, type StreamedOf, type StreamedType } from "../events.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import type { Policy } from "../kernel/policy.ts";
import type { LimiterEvent } from "../limiter.ts";
import { codeOf } from "./event-log.ts";
import { ownerOf, shownNames } from "./tenants.ts";

/** Longest value of a dimension that is told. */
const MAX_VALUE = 200;

const DATA: { readonly [Type in StreamedType]: (event: EventOf<Type>) => StreamedOf<Type> } = {
  "store.unreachable": ({ error }) => ({ code: error.code }),
  "store.recovered": ({ awayMs, booked, dropped, raised }) => ({ awayMs, booked, dropped, raised }),
  "store.misconfigured": ({ check: { name, value, problem } }) => ({ name, value, problem }),
  "store.check_failed": ({ error }) => ({ code: codeOf(error) }),
  "policy.reloaded": ({ version, restarted }) => ({ version, restarted }),
  "bucket.reset": ({ before, after, reason }) => ({ before: told(before), after: told(after), reason }),
  "bucket.granted": ({ grant: { id, units, durationMs }, after, reason }) => {
    return { grant: { id, units, durationMs }, after: told(after), reason };
  },
  "bucket.revoked": ({ id, after, reason }) => ({ id, after: told(after), reason }),
};

/** What those are told who see everything; `null`: nothing. */
export function dataOf(event: LimiterEvent): object | null {
  if (EVENTS[event.type].stream === null) return null;
  const of = DATA[event.type as StreamedType] as (event: LimiterEvent) => object;
  return of(event);
}

/** What those are told who are bound to some tenants; `null`: nothing. */
export function dataFor(tenants: readonly string[], policy: Policy, event: LimiterEvent): object | null {
  if (!("after" in event)) return null;
  const owner = ownerOf(policy, tenants, event.after);
  if (owner === null) return null;
  const named = (usage: BucketUsage) => {
    return { ...usage, dimensions: shownNames(policy, owner.prefix, usage.dimensions) };
  };
  const own = { ...event, after: named(event.after), ...("before" in event ? { before: named(event.before) } : {}) };
  const { reason: _, ...data } = dataOf(own) as { readonly reason: unknown };
  return data;
}

/** Values of dimensions as listeners are told them. */
export function shortened(dimensions: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(dimensions).map(([name, value]) => [name, value.slice(0, MAX_VALUE)]));
}

/** A bucket without what its calls have as arguments. */
function told(usage: BucketUsage): BucketUsage {
  const { args: _, ...dimensions } = usage.dimensions;
  return { ...usage, dimensions: shortened(dimensions) };
}
