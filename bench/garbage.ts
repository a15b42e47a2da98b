// Collects all garbage at once.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

// Set at run time, so that no command line needs the flag.
setFlagsFromString("--expose-gc");
export const collectGarbage: () => void = runInNewContext("gc");
