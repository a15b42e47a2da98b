// How long tests run: `npm test` is short, `npm run test:all` is what must pass before a change lands, and `npm run test:wide`
// plays more of the same cases.

const length = process.env.TOLLGATE_TEST_LENGTH;

/** Whether this is a short run. Its random cases are the first ones of the full run, by the same seeds. */
export const isShort = length === "short";

/** Whether this run plays every case, and each command in a process of its own. */
export const isWide = length === "wide";

/** The options of a test that only a full run has. */
export const fullRunOnly = isShort ? { skip: "npm run test:all runs it" } : {};

/** The options of a test that adds nothing to a full run but more of the same. */
export const wideRunOnly = isWide ? {} : { skip: "npm run test:wide runs it" };

/** How many cases a test plays: `full` of them, `short`, or in a wide run `wide`. */
export function cases(full: number, short: number, wide = full): number {
  if (isWide) return wide;
  return isShort ? short : full;
}
