// Some answers are given at once: kept denials, borrowed units, decisions without the store. A loop that only awaits such answers would
// never leave the microtask queue, so that no timer and no socket of the process had its turn.

import { inNextTurn } from "./clock.ts";

/** How many answers are given at once before one waits for a turn of the event loop. */
const ANSWERS_IN_A_ROW = 256;

/** Gives answers at once, except that now and then one waits until everything else has had its turn. */
export function yielding(): <Answer>(answer: Answer) => Answer | Promise<Answer> {
  let count = 0;
  return (answer) => {
    if (++count % ANSWERS_IN_A_ROW !== 0) return answer;
    return new Promise((resolve) => inNextTurn(() => resolve(answer)));
  };
}
