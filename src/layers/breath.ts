// Cached answers are returned at once. A caller that asks in a loop without awaiting anything else would block the event loop,
// which cannot happen with a store that has to be awaited. So a pause follows after some answers in a row.

/** So many are given in a row. */
export const ANSWERS_IN_A_ROW = 256;

/** Gives answers at once, but for one now and then that waits until everything else has had its turn. */
export function breathing(): <Answer>(answer: Answer) => Answer | Promise<Answer> {
  let given = 0;
  return (answer) => {
    if (++given % ANSWERS_IN_A_ROW !== 0) return answer;
    return new Promise((resolve) => setImmediate(resolve, answer));
  };
}
