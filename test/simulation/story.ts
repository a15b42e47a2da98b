// A run as a story that a person can read: the policy, the instances, and what happened, one line each.

import type { Decision } from "tollgate";
import type { Asked, Entry } from "./log.ts";
import type { Run } from "./run.ts";
import type { Fault, PlannedCall } from "./schedule.ts";

export function storyOf({ schedule, log }: Run): string {
  const { settings, policies, instances } = schedule;
  const head = [
    `seed ${schedule.seed}: ${instances.length} instances, calm after ${schedule.calmAtMs} ms`,
    `settings ${JSON.stringify(settings)}`,
    ...instances.map((plan, i) => `instance p${i} ${JSON.stringify(plan)}`),
    ...policies.map(
      ({ limits }, i) => `policy ${i} ${limits.map((limit) => JSON.stringify(limit)).join("\n         ")}`,
    ),
  ];
  const lines = log.entries.flatMap((entry) => {
    const text = textOf(entry);
    return text === null ? [] : [`${entry.atMs.toFixed(1).padStart(9)}  ${text}`];
  });
  return [...head, ...lines].join("\n");
}

function textOf(entry: Entry): string | null {
  // Everyone is looked at in the end.
  if ("planned" in entry && entry.planned.id < 0 && entry.type !== "failed") return null;
  switch (entry.type) {
    case "started":
    case "closed":
      return `${entry.on} ${entry.type}`;
    case "skipped":
      return `call ${entry.planned.id} finds no instance`;
    case "fault":
      return `** ${faultText(entry.fault)}${entry.isOver ? " is over" : ""}`;
    case "asked":
      return `${entry.on} call ${entry.planned.id} ${callText(entry.planned)}`;
    case "decided":
      return `${entry.on} call ${entry.planned.id} is ${decisionText(entry.decision)}${timeText(entry)}`;
    case "done":
      return `${entry.on} call ${entry.planned.id} is done${timeText(entry)}`;
    case "failed":
      return `${entry.on} call ${entry.planned.id} fails: ${entry.error.name} ${entry.error.code} ${entry.error.message}`;
    case "ended":
      return `${entry.on} call ${entry.planned.id} ${entry.how} ${entry.status} ${entry.error?.message ?? ""}`;
    case "shard":
      return `${entry.on} ${entry.isAway ? "decides for" : "asks again"} shard ${entry.shard}`;
    case "event":
      return `${entry.on} says ${eventText(entry.event)}`;
  }
}

function decisionText(decision: Decision): string {
  const verdicts = decision.verdicts.map(
    ({ limit, quota, remaining, cost }) => `${limit} ${remaining}/${quota}-${cost}`,
  );
  const extra = [
    decision.allowed ? "allowed" : `denied by ${decision.deniedBy}, retry ${decision.retryAfterMs}`,
    decision.degraded === null ? "" : `without the store (over at most ${decision.degraded.maxOvershoot})`,
    decision.replayed ? "again" : "",
    `(${verdicts.join(", ")})`,
  ];
  return extra.filter((part) => part !== "").join(" ");
}

function timeText({ tookMs, pausedMs }: Asked): string {
  const paused = pausedMs > 0 ? `, ${pausedMs.toFixed(0)} of them paused` : "";
  return ` after ${tookMs.toFixed(1)} ms${paused}`;
}

function faultText({ type, atMs: _, ...rest }: Fault): string {
  return `${type} ${JSON.stringify(rest)}`;
}

function callText({ verb, id: _, atMs: __, instance: ___, ...rest }: PlannedCall): string {
  return `${verb} ${JSON.stringify(rest)}`;
}

function eventText({ type, ...rest }: { readonly type: string }): string {
  const shown = JSON.stringify(rest, (_, value) => (value instanceof Error ? value.message : value));
  return `${type} ${shown.slice(0, 200)}`;
}
