// The data of a server-sent event for an event of the limiter. A key that is bound to tenants gets only their own buckets, in
// their own names, and without who changed them and why.

import { EVENTS, type EventOf, type StreamedOf, type StreamedType } from "../events.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { ChangeNote, LimiterEvent } from "../limiter.ts";
import { codeOf, faultsOf } from "./event-log.ts";
import { ownerOf, shownChange } from "./tenants.ts";

/** Longest value of a dimension that is sent. */
const MAX_VALUE = 200;

const DATA: { readonly [Type in StreamedType]: (event: EventOf<Type>) => StreamedOf<Type> } = {
  "store.unreachable": ({ error }) => ({ code: error.code }),
  "store.recovered": ({ awayMs, booked, dropped, raised }) => ({ awayMs, booked, dropped, raised }),
  "store.misconfigured": ({ check: { name, value, problem } }) => ({ name, value, problem }),
  "store.check_failed": ({ error }) => ({ code: codeOf(error) }),
  "policy.reloaded": ({ version, restarted, added, removed, reason, actor }) => {
    return { version, restarted, added, removed, reason, actor };
  },
  "policy.refused": ({ error }) => ({ problem: faultsOf(error) }),
  "bucket.reset": ({ before, after, reason, actor }) => {
    return { before: withoutArgs(before), after: withoutArgs(after), reason, actor };
  },
  "bucket.granted": ({ grant: { id, units, durationMs }, after, reason, actor }) => {
    return { grant: { id, units, durationMs }, after: withoutArgs(after), reason, actor };
  },
  "bucket.revoked": ({ id, after, reason, actor }) => ({ id, after: withoutArgs(after), reason, actor }),
};

/** The data for a key that is not bound; `null` where the event is not sent. */
export function dataOf(event: LimiterEvent): object | null {
  if (!("stream" in EVENTS[event.type])) return null;
  const of = DATA[event.type as StreamedType] as (event: LimiterEvent) => object;
  return of(event);
}

/** The data for a key that is bound to these tenants; `null` where the event is not sent to it. */
export function dataFor(tenants: readonly string[], policy: CompiledPolicy, event: LimiterEvent): object | null {
  if (!("after" in event)) return null;
  const owner = ownerOf(policy, tenants, event.after);
  if (owner === null) return null;
  const { reason: _, actor: __, ...data } = dataOf(shownChange(policy, owner, event)) as ChangeNote;
  return data;
}

/** Dimensions as listeners get them. */
export function shortened(dimensions: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(dimensions).map(([name, value]) => [name, value.slice(0, MAX_VALUE)]));
}

/** A bucket as listeners get it: without arguments of calls. */
function withoutArgs(usage: BucketUsage): BucketUsage {
  const { args: _, ...dimensions } = usage.dimensions;
  return { ...usage, dimensions: shortened(dimensions) };
}
