// Makes the entries of a bucket. Each is written out in full, with its lease where that is known: to copy an object costs more,
// in Lua above all.

import type { Level } from "../algorithms/rules/rules.ts";
import type { NewHold } from "../request.ts";
import type { Entry, Grant, LateUsage, QueuedCall, Reservation } from "../state.ts";

type OnExpiry = NewHold["onExpiry"];
/** What a queued call becomes at its turn. */
export type Becomes = Pick<NewHold, "onExpiry" | "leaseMs">;

export function reservationOf(
  id: string,
  units: number,
  expiresAtMs: number,
  leaseMs: number | undefined,
  onExpiry: OnExpiry,
  expired: boolean,
  levelAfter: Level | null,
): Reservation {
  return leaseMs === undefined
    ? { kind: "reservation", id, units, expiresAtMs, onExpiry, expired, levelAfter }
    : { kind: "reservation", id, units, expiresAtMs, leaseMs, onExpiry, expired, levelAfter };
}

export function grantOf(
  id: string,
  units: number,
  expiresAtMs: number,
  leaseMs: number | undefined,
  expired: boolean,
): Grant {
  return leaseMs === undefined
    ? { kind: "grant", id, units, expiresAtMs, expired }
    : { kind: "grant", id, units, expiresAtMs, leaseMs, expired };
}

export function lateUsageOf(id: string, units: number, expiresAtMs: number, leaseMs: number | undefined): LateUsage {
  return leaseMs === undefined
    ? { kind: "late", id, units, expiresAtMs }
    : { kind: "late", id, units, expiresAtMs, leaseMs };
}

export function queuedCallOf(
  id: string,
  units: number,
  expiresAtMs: number,
  leaseMs: number | undefined,
  becomes: Becomes | undefined,
): QueuedCall {
  if (becomes !== undefined) {
    return leaseMs === undefined
      ? { kind: "queued", id, units, expiresAtMs, becomes }
      : { kind: "queued", id, units, expiresAtMs, leaseMs, becomes };
  }
  return leaseMs === undefined
    ? { kind: "queued", id, units, expiresAtMs }
    : { kind: "queued", id, units, expiresAtMs, leaseMs };
}

/** The entry with another end. */
export function endingAt(entry: Entry, expiresAtMs: number, leaseMs: number | undefined): Entry {
  const { id, units } = entry;
  if (entry.kind === "reservation") {
    return reservationOf(id, units, expiresAtMs, leaseMs, entry.onExpiry, entry.expired, entry.levelAfter);
  }
  if (entry.kind === "grant") return grantOf(id, units, expiresAtMs, leaseMs, entry.expired);
  if (entry.kind === "queued") return queuedCallOf(id, units, expiresAtMs, leaseMs, entry.becomes);
  return lateUsageOf(id, units, expiresAtMs, leaseMs);
}

/** The hold with another level after it. */
export function withLevelAfter(hold: Reservation, levelAfter: Level | null): Reservation {
  const { id, units, expiresAtMs, leaseMs, onExpiry, expired } = hold;
  return reservationOf(id, units, expiresAtMs, leaseMs, onExpiry, expired, levelAfter);
}

/** A hold or a grant that has ended. */
export function expiredAt(entry: Reservation | Grant, expiresAtMs: number): Entry {
  const { id, units, leaseMs } = entry;
  if (entry.kind === "grant") return grantOf(id, units, expiresAtMs, leaseMs, true);
  return reservationOf(id, units, expiresAtMs, leaseMs, entry.onExpiry, true, entry.levelAfter);
}
