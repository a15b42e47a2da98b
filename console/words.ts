// Outcomes and events in words.

import { formatDuration } from "../src/kernel/duration.ts";
import type { EventEntry, LogEntry } from "./answers.ts";

export type OutcomeKind = "allowed" | "denied" | "warned" | "changed" | "trouble" | "calm";

export interface OutcomeText {
  readonly kind: OutcomeKind;
  readonly text: string;
}

const EVENTS: Readonly<Record<string, OutcomeText>> = {
  "bucket.granted": { kind: "changed", text: "granted" },
  "bucket.revoked": { kind: "changed", text: "revoked" },
  "bucket.reset": { kind: "changed", text: "reset" },
  "policy.reloaded": { kind: "changed", text: "policy" },
  "policy.refused": { kind: "trouble", text: "policy refused" },
  "store.unreachable": { kind: "trouble", text: "store away" },
  "store.recovered": { kind: "calm", text: "store back" },
  "store.misconfigured": { kind: "trouble", text: "store setup" },
  "log.started": { kind: "calm", text: "started" },
  "log.unreachable": { kind: "trouble", text: "log away" },
  "log.recovered": { kind: "calm", text: "log back" },
  "log.dropped": { kind: "trouble", text: "log dropped" },
};

/** What came of it, in a word, with how it looks. */
export function outcomeOf(entry: LogEntry): OutcomeText {
  if (entry.kind === "event") return EVENTS[entry.type] ?? { kind: "calm", text: entry.type };
  if (!entry.allowed) return { kind: "denied", text: "denied" };
  if (entry.verdicts.some(({ exceeded }) => exceeded)) return { kind: "warned", text: "allowed, over a limit" };
  return { kind: "allowed", text: "allowed" };
}

/** What an event says beside its name, its limit and whose bucket it is. */
export function eventText({ type, data, actor, reason }: EventEntry): string {
  const by = [actor === null ? "" : `by ${actor}`, reason === null ? "" : `"${reason}"`].filter((text) => text !== "");
  return [detailOf(type, data), by.join(": ")].filter((text) => text !== "").join("; ");
}

function detailOf(type: string, data: EventEntry["data"]): string {
  if (type === "bucket.granted") {
    const { units, durationMs } = (data.grant ?? {}) as { readonly units?: number; readonly durationMs?: number };
    return units === undefined ? "" : `+${units} for ${formatDuration(durationMs ?? 0)}`;
  }
  if (type === "policy.refused") return String(data.problem ?? "");
  if (type === "policy.reloaded") return `version ${String(data.version ?? "")}`;
  if (type === "store.recovered" || type === "log.recovered")
    return `away for ${formatDuration(Number(data.awayMs ?? 0))}`;
  if (type === "store.unreachable") return String(data.code ?? "");
  if (type === "log.dropped") return `${String(data.entries ?? data.dropped ?? "some")} entries were lost`;
  return "";
}
