// Outcomes and events in words.

import { actorText, eventDetail } from "../src/log/event-words.ts";
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
  const by = [actor === null ? "" : `by ${actorText(actor)}`, reason === null ? "" : `"${reason}"`].filter(
    (text) => text !== "",
  );
  return [eventDetail({ type, data }), by.join(": ")].filter((text) => text !== "").join("; ");
}
