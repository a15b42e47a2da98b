// What is replied of a step.

import { rulesOf } from "../algorithms/rules/registry.ts";
import { MAX_UNITS } from "../algorithms/rules/rules.ts";
import type { Contents } from "../bucket/contents.ts";
import { isLive, sumsOf } from "../bucket/entries.ts";
import { forecastEndMs, freeAfterMs, freeBesideMs } from "../bucket/free-after.ts";
import { grantsIn, isSameGrant } from "../bucket/grants.ts";
import { listsGrants, namesEntry, type StepReply } from "../request.ts";
import type { Writable } from "../writable.ts";
import { type Judged, unitsNeeded } from "./judge.ts";

/** How the bucket of a step stands, after the step or, after a reset, before it. Notes when the bucket ends, where that is known. */
export function stepReply(judged: Judged, after: Contents, nowMs: number): StepReply {
  const { limit, event } = judged.step;
  const { type } = event;
  const shown = type === "reset" ? judged : after;
  const rules = rulesOf(limit);
  const capacity = rules.capacity(limit);
  const { held, granted } = sumsOf(shown.entries);
  // Grants add nothing to a capacity of 0, which is a stop.
  const extra = capacity === 0 ? 0 : granted;
  const used = rules.used(limit, shown.spent, nowMs) + held;
  const resetAfterMs = freeBesideMs(limit, shown, held - extra, capacity, nowMs);
  judged.endMs = type === "reset" ? null : forecastEndMs();
  const reply: Writable<StepReply> = {
    allowed: judged.fits,
    used: used < MAX_UNITS ? used : MAX_UNITS,
    resetAfterMs,
    retryAfterMs: judged.fits ? 0 : retryAfter(judged, shown, nowMs),
  };
  if (extra !== 0) reply.granted = extra;
  if (type === "hold" || type === "charge") return reply;
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
