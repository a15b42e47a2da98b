// Policies from text and files: YAML, which JSON is part of, with the line and column of each fault.

import { readFileSync, statSync } from "node:fs";
import { isNode, LineCounter, type Node, parseDocument } from "yaml";
import { type Fault, formatGot, MisuseError } from "./kernel/errors.ts";
import { type Policy, type PolicyFault, readPolicy } from "./kernel/policy.ts";

/** Longest policy, in bytes of a file or characters of a text. */
const MAX_SIZE = 1_000_000;

/**
 * Reads a policy from YAML or JSON.
 *
 * @param text the policy
 * @param source what faults name as its origin, such as a file's path
 * @throws MisuseError `invalid-policy` with every fault that was found, its line and column
 *
 * @example
 * ```ts
 * import { parsePolicy } from "tollgate";
 *
 * const policy = parsePolicy(`
 * version: 1
 * limits:
 *   - { name: tool-per-turn, per: [session, turn, tool], quota: 5, ttl: 1h }
 * `);
 * console.log(policy.limits.length); // 1
 * ```
 */
export function parsePolicy(text: string, source = "policy"): Policy {
  if (typeof text !== "string") {
    throw new MisuseError("invalid-policy", { path: source, expected: "a text in YAML or JSON", got: formatGot(text) });
  }
  if (text.length > MAX_SIZE) throw tooLarge(source);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error" });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${source}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    throw new MisuseError(
      "invalid-policy",
      document.errors.map(({ pos, message }) => ({
        at: at(pos[0]),
        path: "policy",
        expected: "YAML or JSON",
        got: message,
      })),
    );
  }
  const result = readPolicy(plainValue(document, source));
  if ("policy" in result) return result.policy;
  throw new MisuseError(
    "invalid-policy",
    result.faults.map(({ keys, ...fault }): Fault => ({ ...fault, at: at(offsetOf(document, keys)) })),
  );
}

/**
 * Reads a policy file, once.
 *
 * @throws MisuseError `invalid-policy` as `parsePolicy` does, and when the file cannot be read
 *
 * @example
 * ```ts
 * import { writeFileSync } from "node:fs";
 * import { loadPolicy } from "tollgate";
 *
 * writeFileSync("tollgate.yaml", "version: 1\nlimits: [{ name: per-session, per: [session], quota: 50 }]");
 * console.log(loadPolicy("tollgate.yaml").limits[0]?.name); // per-session
 * ```
 */
export function loadPolicy(path: string): Policy {
  return parsePolicy(readText(path), path);
}

function readText(path: string): string {
  try {
    if (statSync(path).size > MAX_SIZE) throw tooLarge(path);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (MisuseError.isInstance(error)) throw error;
    const got = error instanceof Error ? error.message : String(error);
    throw new MisuseError("invalid-policy", { path: formatGot(path), expected: "a policy file that can be read", got });
  }
}

function tooLarge(source: string): MisuseError {
  return new MisuseError("invalid-policy", { path: source, expected: `at most ${MAX_SIZE} characters`, got: "more" });
}

/** The document as plain values. Aliases are bounded by the library, which then throws. */
function plainValue(document: ReturnType<typeof parseDocument>, source: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error);
    throw new MisuseError("invalid-policy", { path: source, expected: "aliases that can be resolved", got });
  }
}

/** Where the value that keys lead to begins, or the nearest value around it that is there. */
function offsetOf(document: ReturnType<typeof parseDocument>, keys: PolicyFault["keys"]): number {
  for (let length = keys.length; length >= 0; length--) {
    const node = document.getIn(keys.slice(0, length), true) as Node | undefined;
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}
