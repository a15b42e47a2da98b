// What a call makes of one bucket, and how calls under one key count as one.

import type { Decided } from "./oracle.ts";
import type { PlannedCall } from "./schedule.ts";

/** One limit's part in a call that ran, or may have. */
export interface Booking {
  readonly planned: PlannedCall;
  /** When it was asked for the first time. */
  readonly firstMs: number;
  readonly decided: Decided | null;
  /** Units that the limit admitted at once, when it decided. */
  readonly admitted: number;
  /** Between these numbers lies what the store has counted of it in the end. */
  readonly least: number;
  readonly most: number;
  /** The most that the call may come to, whatever became of it. */
  readonly mayBe: number;
  /** Of that, what was booked because the call was settled before its hold was known. */
  readonly unknown: number;
}

/** The units of a booking: what it takes at once, and what it may come to. */
export type Units = Pick<Booking, "admitted" | "least" | "most">;

/** Verbs whose calls end with what they used. */
export const ENDING: ReadonlySet<string> = new Set(["reserve", "run"]);

/** Adds a booking. One key is counted once, also where two processes have admitted it because the store was away. */
export function addTo(bookings: Booking[], losesAnswers: boolean, booking: Booking): void {
  const key = keyOf(booking);
  const at = key === undefined ? -1 : bookings.findIndex((each) => keyOf(each) === key);
  const before = bookings[at];
  if (before === undefined) bookings.push(booking);
  else {
    const larger = (name: keyof Units) => Math.max(before[name], booking[name]);
    // A record is booked also where it is denied.
    const decided = before.admitted > 0 || before.least > 0 ? before.decided : booking.decided;
    const units = { admitted: larger("admitted"), least: larger("least"), most: larger("most") };
    // A tool that ran twice has used something twice.
    const isAgain = booking.decided?.decision.replayed === true;
    const hasRunTwice = before.admitted > 0 && booking.admitted > 0 && !isAgain && ENDING.has(booking.planned.verb);
    if (losesAnswers) units.most = before.most + booking.most;
    if (hasRunTwice) Object.assign(units, { least: 0, most: before.most + booking.most });
    const mayBe = Math.max(before.mayBe, booking.mayBe);
    const unknown = before.unknown + booking.unknown;
    // The answer that was given again names the hold, and so the call is settled again.
    if (isAgain && unknown > 0) units.most = Math.max(units.most, unknown + mayBe - units.admitted);
    const firstMs = Math.min(before.firstMs, booking.firstMs);
    bookings[at] = { planned: booking.planned, firstMs, decided, mayBe, unknown, ...units };
  }
}

function keyOf({ planned }: Booking): string | undefined {
  return "call" in planned ? planned.call.idempotencyKey : undefined;
}

/** The most that a call may come to: its price is charged when its hold expires, and all of its usage is booked when it is settled later. */
export function mostOf(planned: PlannedCall, unit: string, price: number): number {
  if (!ENDING.has(planned.verb)) return price;
  const used = "tokens" in planned && unit === "tokens" ? planned.tokens : 0;
  return price + Math.max(price, used);
}
