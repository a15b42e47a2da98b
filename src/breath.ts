// Some answers are given at once: kept denials, borrowed units, decisions without the store. A loop that only awaits such answers would
// never leave the microtask queue, so that no timer and no socket of the process had its turn.

import { inNextTurn } from "./clock.ts";

/** How many answers are given between two turns of the event loop. */
const ANSWERS_IN_A_ROW = 256;

/** Gives answers at once, until it is time for everything else to have its turn: then all who ask wait for that. */
export function yielding(): <Answer>(answer: Answer) => Answer | Promise<Answer> {
  let count = 0;
  let turn: Promise<void> | null = null;
  const nextTurn = () =>
    new Promise<void>((resolve) => {
      inNextTurn(() => {
        count = 0;
        turn = null;
        resolve();
      });
    });
  return (answer) => {
    if (++count < ANSWERS_IN_A_ROW) return answer;
    turn ??= nextTurn();
    return turn.then(() => answer);
  };
}
