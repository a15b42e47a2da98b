// Traces: one call a line, as agents made them.

import { z } from "zod";
import type { Call } from "../kernel/call.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import { valueAt } from "../kernel/policy/place.ts";

const error = "a string that is not empty, or a safe integer";
const value = z.union([z.string().min(1, { error }), z.int({ error })], { error });
const whose = optional(value);
const units = z.int({ error: "a safe integer from 0" }).min(0, { error: "a safe integer from 0" });
const line = z.object(
  {
    session: value,
    turn: value,
    tool: value,
    tenant: whose,
    user: whose,
    agent: whose,
    model: whose,
    cost: optional(z.record(z.string(), units, { error: "an object of whole numbers by unit" })),
    // A label: it must not fail a trace.
    toolCallId: z.string().optional().catch(undefined),
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
 * Reads a trace: a JSON object a line with `session`, `turn`, `tool`, and where there are `tenant`, `user`,
 * `agent`, `model`, `cost`, `toolCallId`, `args`. Other fields, empty lines and a byte order mark are passed over.
 *
 * @throws MisuseError `invalid-option` with the first line that is wrong
 */
export function parseTrace(text: string, source: string): TracedCall[] {
  const lines = text.replace(/^\uFEFF/, "").split("\n");
  return lines.flatMap((json, i) => (json.trim() === "" ? [] : [parseLine(json, i + 1, source)]));
}

function parseLine(json: string, number: number, source: string): TracedCall {
  const given = parseJson(json);
  const parsed = line.safeParse(given);
  if (parsed.success) return { line: number, call: parsed.data };
  const { path = [], message: expected = "" } = parsed.error.issues[0] ?? {};
  const [where, found] = path.length === 0 ? ["call", json] : [path.join("."), valueAt(given, path.map(String))];
  throw new MisuseError("invalid-option", { at: `${source}:${number}`, path: where, expected, got: formatGot(found) });
}

/** A field that a line may leave out, also as `null`. */
function optional<Field extends z.ZodType>(field: Field) {
  return field.nullish().transform((given) => given ?? undefined);
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
