// The error of a closed limiter.

import { MisuseError } from "../kernel/errors.ts";

/** The error of calls after the limiter was closed. */
export function limiterClosed(): MisuseError {
  return new MisuseError("limiter-closed", { path: "limiter", expected: "an open limiter", got: "a closed one" });
}
