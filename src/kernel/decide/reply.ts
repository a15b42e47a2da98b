// What is replied of a step.

import { rulesOf } from "../algorithms/rules/registry.ts";
import { type Contents, usedIn } from "../bucket/contents.ts";
import { isLive } from "../bucket/entries.ts";
import { forecastEndMs, freeAfterMs } from "../bucket/free-after.ts";
import { grantedIn, grantsIn, isSameGrant } from "../bucket/grants.ts";
import { listsGrants, namesEntry, type StepReply } from "../request.ts";
import type { Writable } from "../writable.ts";
import { type Judged, unitsNeeded } from "./judge.ts";

/** How the bucket of a step stands, after the step or, after a reset, before it. Notes when the bucket ends, where that is known. */
export function stepReply(judged: Judged, after: Contents, nowMs: number): StepReply {
  const { limit, event } = judged.step;
  const { type } = event;
  const shown = type === "reset" ? judged : after;
  const resetAfterMs = freeAfterMs(limit, shown, rulesOf(limit).capacity(limit), nowMs);
  judged.endMs = type === "reset" ? null : forecastEndMs();
  const retryAfterMs = judged.fits ? 0 : retryAfter(judged, shown, nowMs);
  const reply: Writable<StepReply> = {
    allowed: judged.fits,
    used: usedIn(limit, shown, nowMs),
    resetAfterMs,
    retryAfterMs,
  };
  const extra = grantedIn(limit, shown);
  if (extra !== 0) reply.granted = extra;
  if (listsGrants(type)) {
    const grants = grantsIn(shown, nowMs);
    if (grants.length > 0) reply.grants = grants;
  }
  if (namesEntry(type)) reply.found = foundBy(judged);
  return reply;
}

/** Milliseconds until a step would pass that is denied; `null` when it never will. */
function retryAfter(judged: Judged, shown: Contents, nowMs: number): number | null {
  const { limit, event } = judged.step;
  if (event.type === "extend" || !rulesOf(limit).comesBack) return null;
  const waitMs = freeAfterMs(limit, shown, unitsNeeded(event), nowMs);
  return waitMs === Number.POSITIVE_INFINITY ? null : waitMs;
}

/** How a step found the entry that it names. */
function foundBy(judged: Judged): "live" | "late" | "unknown" {
  const { entry } = judged;
  const { limit, event } = judged.step;
  if (entry === undefined) return "unknown";
  const isFound = event.type === "grant" ? isSameGrant(limit, entry, event) : isLive(entry);
  return isFound ? "live" : "late";
}
