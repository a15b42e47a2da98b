// Traces: one call a line, as agents made them.

import * as v from "valibot";
import type { Call } from "../kernel/call.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import { valueAt } from "../kernel/policy/place.ts";
import { mapOf, objectOf, readBy, type Schema } from "../kernel/policy/schema-kinds.ts";
import { integer, whole } from "../kernel/policy/schema-parts.ts";

const VALUE = "a string that is not empty, or a safe integer";
const value = v.union([v.pipe(v.string(VALUE), v.minLength(1, VALUE)), integer(VALUE)], VALUE);
const whose = optional(value);
const units = whole(0, Number.MAX_SAFE_INTEGER, "a safe integer from 0");
const cost = mapOf("an object of whole numbers by unit", v.string(), units);
const line = objectOf(
  "an object in JSON",
  {
    session: value,
    turn: value,
    tool: value,
    tenant: whose,
    user: whose,
    agent: whose,
    model: whose,
    cost: optional(cost),
    // A label: it must not fail a trace.
    toolCallId: v.fallback(v.optional(v.string()), undefined),
    args: v.optional(v.unknown()),
  },
  "ignore",
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
  const read = readBy(line, given);
  if ("value" in read) return { line: number, call: read.value };
  const { keys = [], expected = "" } = read.faults[0] ?? {};
  const [where, found] = keys.length === 0 ? ["call", json] : [keys.join("."), valueAt(given, keys)];
  throw new MisuseError("invalid-option", { at: `${source}:${number}`, path: where, expected, got: formatGot(found) });
}

/** A field that a line may leave out, also as `null`. */
function optional<Field extends Schema>(field: Field) {
  return v.pipe(
    v.nullish(field),
    v.transform((given) => given ?? undefined),
  );
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
