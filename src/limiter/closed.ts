// The error of a closed limiter.

import { MisuseError } from "../kernel/errors.ts";

export function limiterClosed(): MisuseError {
  return new MisuseError("limiter-closed", { path: "limiter", expected: "an open limiter", got: "a closed one" });
}
