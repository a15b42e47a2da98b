// How long tests run: `npm test` is short, and everything else runs at full length.

/** Whether this is a short run. Its random cases are the first ones of the full run, by the same seeds. */
export const isShort = process.env.TOLLGATE_TEST_LENGTH === "short";

/** The options of a test that only a full run has. */
export const fullRunOnly = isShort ? { skip: "npm run test:all runs it" } : {};

/** How many cases a test plays: `full` of them, or `short`. */
export function cases(full: number, short: number): number {
  return isShort ? short : full;
}
