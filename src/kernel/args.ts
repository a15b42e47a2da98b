// What a call's arguments are as a dimension: equal when they say the same, whatever the order of keys and the form of
// numbers. Only their hash gets into keys.

import { formatGot, MisuseError } from "./errors.ts";
import { digest } from "./key.ts";

/**
 * The hash of a call's arguments, 32 hexadecimal digits. Nothing is `{}`. Text that is an object or a list in JSON, as
 * models write it, equals that.
 *
 * @param volatile fields of the outermost object that are left out
 * @throws MisuseError `invalid-call`
 */
export function argsDigest(args: unknown, volatile: ReadonlySet<string>): string {
  const value = parsed(args ?? {});
  const kept = isObject(value)
    ? Object.fromEntries(Object.entries(value).filter(([key]) => !volatile.has(key)))
    : value;
  try {
    return digest(JSON.stringify(kept, sorted) ?? null);
  } catch {
    // A cycle, a bigint, or deeper than the stack.
    throw new MisuseError("invalid-call", {
      path: "args",
      expected: "what can be written as JSON",
      got: formatGot(args),
    });
  }
}

function parsed(args: unknown): unknown {
  if (typeof args !== "string" || !/^\s*[[{]/.test(args)) return args;
  try {
    return JSON.parse(args);
  } catch {
    return args;
  }
}

function sorted(_key: string, value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
