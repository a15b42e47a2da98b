// The replies of several shards, as one.

import type { Degraded } from "../../kernel/decision.ts";
import {
  listsGrants,
  namesEntry,
  type Step,
  type StepReply,
  type StoreReply,
  type StoreRequest,
} from "../../kernel/request.ts";
import { withWorst } from "../degraded.ts";
import { type Group, isGivenBack } from "./groups.ts";

/** What a shard would answer if a call were booked, and how it stands now. */
export interface GroupReplies {
  readonly booked: StoreReply;
  readonly now: StoreReply;
}

/** The request that says how the buckets of another one stand. */
export function readOf({ steps }: Pick<StoreRequest, "steps">): StoreRequest {
  return { mode: "peek", steps: steps.map((step) => ({ ...step, event: { type: "read" } })) };
}

/** The answer of a shard to a call that another one denies. */
export function standing({ booked, now }: GroupReplies): StoreReply {
  if (!booked.allowed) return booked;
  const steps = now.steps.map((step, i) => {
    const { allowed, retryAfterMs } = booked.steps[i] as StepReply;
    return { ...step, allowed, retryAfterMs };
  });
  return { ...booked, steps };
}

/** The same of a shard that has booked the call: as it stands when that is given back. */
export function unbooked(reply: StoreReply, { request }: Group): StoreReply {
  const steps = reply.steps.map((standing, i) => {
    const step = request.steps[i] as Step;
    if (!isGivenBack(step)) return standing;
    const used = Math.max(0, standing.used - unitsOf(step));
    return { ...standing, used, resetAfterMs: used === 0 ? 0 : standing.resetAfterMs };
  });
  return { ...reply, steps };
}

/** A reply as that of a read: it judges nothing, also where this process gave it. */
export function asStanding({ degraded: _, ...reply }: StoreReply): StoreReply {
  const steps = reply.steps.map((step) => ({ ...step, allowed: true, retryAfterMs: 0 }));
  return { ...reply, allowed: true, steps };
}

function unitsOf({ event }: Step): number {
  if (event.type === "hold") return event.units;
  return event.type === "charge" ? event.cost : 0;
}

/** @param replies one for each group */
export function merged(request: StoreRequest, groups: readonly Group[], replies: readonly StoreReply[]): StoreReply {
  const stale = replies.find((reply) => reply.stale === true);
  if (stale !== undefined) return stale;
  const steps: StepReply[] = [];
  const degraded: Degraded[] = [];
  let allowed = true;
  let nowMs = 0;
  for (const [n, reply] of replies.entries()) {
    nowMs = Math.max(nowMs, reply.nowMs);
    if (reply.degraded !== undefined) degraded.push(reply.degraded);
    for (const [i, index] of (groups[n] as Group).indexes.entries()) {
      const step = request.steps[index] as Step;
      const own = reply.steps[i] as StepReply;
      steps[index] = shown(step, own);
      if (!own.allowed && step.shadow !== true) allowed = false;
    }
  }
  return withWorst({ allowed, nowMs, steps }, degraded);
}

/** What was only ended or read on the way names no hold, and lists no grants. */
function shown({ event }: Step, reply: StepReply): StepReply {
  if (reply.found === undefined && reply.grants === undefined) return reply;
  const { found, grants, ...step } = reply;
  const isFound = found !== undefined && namesEntry(event.type);
  const isListed = grants !== undefined && listsGrants(event.type);
  return { ...step, ...(isFound ? { found } : {}), ...(isListed ? { grants } : {}) };
}
