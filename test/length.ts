// How many cases tests play: those that must pass before a change lands, or more of the same (`npm run test:wide`).

/** Whether this run plays every case, and each command in a process of its own. */
export const isWide = process.env.TOLLGATE_TEST_WIDE === "1";

/** The options of a test that adds nothing but more of the same. */
export const wideRunOnly = isWide ? {} : { skip: "npm run test:wide runs it" };

/** How many cases a test plays. */
export function cases(usual: number, wide: number): number {
  return isWide ? wide : usual;
}
