// Bounds what the counts of minutes take: when there are too many rows, those of the oldest minutes are removed. Each minute also has an
// end of its own, by its age.

import type { Way } from "../../stores/redis/link.ts";
import { MINUTE_MS } from "../sums.ts";
import type { LogKeys } from "./keys.ts";
import type { AskLog } from "./read.ts";

export const TIDY_MS = 60_000;
/** Most rows of counts, of all minutes together: some 100 bytes each. */
const MAX_ROWS = 500_000;
/** Minutes that are removed at once. */
const STEP = 500;

/** @param mostRows of all minutes together */
export async function removeOldRows(
  ask: AskLog,
  send: Way["send"],
  keys: LogKeys,
  oldestMs: number,
  mostRows = MAX_ROWS,
): Promise<void> {
  const minutes: [minute: number, rows: number][] = [];
  let cursor = "0";
  do {
    const [next = "0", ...found] = await ask("minutes", [keys.rows], cursor);
    for (let i = 0; i < found.length; i += 2) minutes.push([Number(found[i]), Number(found[i + 1])]);
    cursor = next;
  } while (cursor !== "0");
  minutes.sort(([one], [other]) => other - one);
  let sum = 0;
  const old = minutes.filter(([minute, rows]) => {
    sum += rows;
    return sum > mostRows || (minute + 1) * MINUTE_MS < oldestMs;
  });
  for (let i = 0; i < old.length; i += STEP) {
    const some = old.slice(i, i + STEP).map(([minute]) => minute);
    await send(keys.rows, "UNLINK", ...some.flatMap((minute) => [keys.counts(minute), keys.tops(minute)]));
    await send(keys.rows, "HDEL", keys.rows, ...some);
  }
}
