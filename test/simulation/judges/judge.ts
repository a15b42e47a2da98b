// What a judge is: it looks at a whole run, and says what must not be.

import type { Oracle } from "../oracle.ts";

export interface Violation {
  /** Which promise is broken. */
  readonly judge: string;
  readonly problem: string;
}

export type Judge = (oracle: Oracle) => Iterable<string>;
