// Policies from files. text.ts reads their text.

import { formatGot, MisuseError } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import { filesFor } from "./files.ts";
import { parsePolicy } from "./text.ts";
import { MAX_TEXT } from "./yaml-text.ts";

/**
 * Reads a policy file, once.
 *
 * @throws MisuseError `invalid-policy` as `parsePolicy` does, and when the file cannot be read
 *
 * @example
 * ```ts
 * import { writeFileSync } from "node:fs";
 * import { loadPolicy } from "tollgate/policy";
 *
 * writeFileSync("tollgate.yaml", "version: 1\nlimits: [{ name: per-session, per: [session], quota: 50 }]");
 * console.log(loadPolicy("tollgate.yaml").limits[0]?.name); // per-session
 * ```
 */
export function loadPolicy(path: string): Policy {
  return parsePolicy(readText(path), path);
}

function readText(path: string): string {
  const { readFileSync, statSync } = filesFor(path);
  try {
    if (statSync(path).size > MAX_TEXT) {
      throw new MisuseError("invalid-policy", { path, expected: `at most ${MAX_TEXT} bytes`, got: "more" });
    }
    return readFileSync(path, "utf8");
  } catch (error) {
    if (MisuseError.isInstance(error)) throw error;
    const got = error instanceof Error ? error.message : String(error);
    throw new MisuseError("invalid-policy", { path: formatGot(path), expected: "a policy file that can be read", got });
  }
}
