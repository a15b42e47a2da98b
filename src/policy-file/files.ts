// The files of the runtime. They are asked for when one is read, so that a program for a runtime without files can be bundled
// with what reads texts.

import { MisuseError } from "../kernel/errors.ts";

/**
 * What reads and watches files.
 *
 * @throws MisuseError `invalid-policy` in a runtime without files
 */
export function filesFor(path: string): typeof import("node:fs") {
  const files = globalThis.process?.getBuiltinModule?.("node:fs");
  if (files !== undefined) return files;
  const hint = "parsePolicy reads a text.";
  throw new MisuseError("invalid-policy", { path, expected: "a runtime with files, such as Node", got: "none", hint });
}
