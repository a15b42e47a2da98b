// What is said once a limiter was closed.

import { MisuseError } from "../kernel/errors.ts";

/** What calls fail with once the limiter was closed. */
export function limiterClosed(): MisuseError {
  return new MisuseError("limiter-closed", { path: "limiter", expected: "an open limiter", got: "a closed one" });
}
