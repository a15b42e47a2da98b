// Traces: one call a line, as agents made them.

import * as v from "valibot";
import { CALL_WORDS, type Call, DERIVED_DIMENSIONS, DIMENSIONS } from "../kernel/call.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import { valueAt } from "../kernel/policy/place.ts";
import { mapOf, objectOf, readBy, type Schema } from "../kernel/policy/schema-kinds.ts";
import { integer, whole } from "../kernel/policy/schema-parts.ts";
import type { TracedCall } from "./traced-call.ts";

const VALUE = "a string that is not empty, or a safe integer";
const INSTANT = "an instant such as 2026-11-30T12:00:00Z, or milliseconds since 1970";
const NAME = "a name of your own: the others have fields of the line";
const LAST_MS = 8.64e15;

const value = v.union([v.pipe(v.string(VALUE), v.minLength(1, VALUE)), integer(VALUE)], VALUE);
const whose = optional(value);
const units = whole(0, Number.MAX_SAFE_INTEGER, "a safe integer from 0");
const cost = mapOf("an object of whole numbers by unit", v.string(), units);
const hasField: ReadonlySet<string> = new Set([...DIMENSIONS, ...DERIVED_DIMENSIONS, ...CALL_WORDS]);
const ownName = v.pipe(
  v.string(),
  v.check((name) => !hasField.has(name), NAME),
);
const isOutcome = v.boolean("true or false");
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
    dimensions: optional(mapOf("an object of values by name", ownName, value)),
    cost: optional(cost),
    // A label: it must not fail a trace.
    toolCallId: v.fallback(v.optional(v.string()), undefined),
    args: v.optional(v.unknown()),
    at: optional(
      v.union(
        [
          whole(0, LAST_MS, INSTANT),
          v.pipe(
            v.string(INSTANT),
            v.check((text) => instantOf(text) !== null, INSTANT),
          ),
        ],
        INSTANT,
      ),
    ),
    durationMs: optional(
      v.pipe(v.number("milliseconds from 0"), v.minValue(0, "milliseconds from 0"), v.maxValue(LAST_MS)),
    ),
    error: v.optional(v.unknown()),
    result: v.optional(v.unknown()),
    ok: optional(isOutcome),
  },
  "ignore",
);

/**
 * Reads a trace: a JSON object a line with `session`, `turn`, `tool`, and where there are `tenant`, `user`, `agent`, `model`,
 * `dimensions`, `cost`, `toolCallId`, `args`, `at`, `durationMs`, `error`, `result`, `ok`. Other fields, empty lines and a byte
 * order mark are passed over.
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
  if ("value" in read) return tracedCall(read.value, number);
  const { keys = [], expected = "" } = read.faults[0] ?? {};
  const [where, found] = keys.length === 0 ? ["call", json] : [keys.join("."), valueAt(given, keys)];
  throw new MisuseError("invalid-option", { at: `${source}:${number}`, path: where, expected, got: formatGot(found) });
}

function tracedCall(read: v.InferOutput<typeof line>, number: number): TracedCall {
  const { at, durationMs, error, result, ok, dimensions, ...call } = read;
  const isFine = error === undefined || error === null || error === false;
  return {
    line: number,
    call: (dimensions === undefined ? call : { ...dimensions, ...call }) as Call,
    atMs: typeof at === "string" ? instantOf(at) : (at ?? null),
    durationMs: durationMs ?? 0,
    hasFailed: isFine ? (error === false || result !== undefined ? false : null) : true,
    result,
    isOk: ok ?? null,
  };
}

/** Epoch ms; `null` for a text that names no instant: one without an offset means another instant on each machine. */
export function instantOf(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)$/i.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isFinite(ms) && ms >= 0 ? ms : null;
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
