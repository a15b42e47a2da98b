// Traces: one call a line, as agents made them.

import { z } from "zod";
import type { Call } from "../kernel/call.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";

const error = "a string that is not empty, or a safe integer";
const value = z.union([z.string().min(1), z.int()], { error });
const whose = value.nullish().transform((given) => given ?? undefined);
const line = z.object(
  {
    session: value,
    turn: value,
    tool: value,
    tenant: whose,
    user: whose,
    // A label: it must not fail a trace.
    id: z.string().optional().catch(undefined),
    args: z.unknown().optional(),
  },
  { error: "an object in JSON" },
);

/** One call of a trace, and the line it stands on, from 1. */
export interface TracedCall {
  readonly line: number;
  readonly call: Call;
}

/**
 * Reads a trace: a JSON object a line with `session`, `turn`, `tool`, and where there are `tenant`, `user`, `id`,
 * `args`. Other fields, and empty lines, are passed over.
 *
 * @throws MisuseError `invalid-option` with the first line that is wrong
 */
export function parseTrace(text: string, source: string): TracedCall[] {
  return text.split("\n").flatMap((json, i) => (json.trim() === "" ? [] : [parseLine(json, i + 1, source)]));
}

function parseLine(json: string, number: number, source: string): TracedCall {
  const refuse = (path: string, expected: string, got: string) =>
    new MisuseError("invalid-option", { at: `${source}:${number}`, path, expected, got });
  const parsed = line.safeParse(parseJson(json));
  if (parsed.success) return { line: number, call: parsed.data };
  const [issue] = parsed.error.issues;
  if (issue === undefined || issue.path.length === 0) throw refuse("call", "an object in JSON", formatGot(json));
  const key = String(issue.path[0]);
  throw refuse(key, issue.message, formatGot((parseJson(json) as Record<string, unknown>)[key]));
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** Says on which line a call stands that the policy cannot judge. */
export function misuseAt(source: string, line: number, misuse: string): MisuseError {
  return new MisuseError("invalid-option", {
    at: `${source}:${line}`,
    path: "call",
    expected: "a call that the policy can judge",
    got: misuse,
  });
}
