// What an event says beside its name, its limit and whose bucket it is, in a few words.

import { formatDuration } from "../kernel/duration.ts";
import { amount, grouped } from "../kernel/words.ts";
import type { EventEntry } from "./entry.ts";

/** Who or what changed something: a key, a person, a command, a file. */
export function actorText(actor: string): string {
  if (actor === "anonymous") return "someone without a key";
  return actor.replace(/^anonymous for /, "");
}

export function eventDetail({ type, data }: Pick<EventEntry, "type" | "data">): string {
  if (type === "bucket.granted") {
    const { units, durationMs } = (data.grant ?? {}) as { readonly units?: number; readonly durationMs?: number };
    const { unit } = (data.after ?? {}) as { readonly unit?: string };
    if (units === undefined) return "";
    return `+${unit === undefined ? grouped(units) : amount(units, unit)} for ${formatDuration(durationMs ?? 0)}`;
  }
  if (type === "policy.reloaded") return `version ${String(data.version ?? "")}`;
  if (type === "store.recovered" || type === "log.recovered")
    return `away for ${formatDuration(Number(data.awayMs ?? 0))}`;
  if (type === "log.dropped") return `${String(data.entries ?? data.dropped ?? "some")} entries were lost`;
  const { message } = (data.error ?? {}) as { readonly message?: string };
  return message?.split("\n")[0] ?? "";
}
