// Answers that need not wait are given at once. Who asks again and again without waiting for anything else would keep the
// process to himself that way, as he does not with a store that he has to wait for.

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
