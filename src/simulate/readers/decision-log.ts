// Calls from a decision log. It has a hash of the arguments and neither results nor errors.

import { KnownArgs } from "../../kernel/args.ts";
import type { Call } from "../../kernel/call.ts";
import type { DecisionEntry, LoggedVerdict } from "../../log/entry.ts";
import type { EntryQuery, LogReader } from "../../log/storage.ts";
import type { TracedCall } from "../traced-call.ts";
import type { Read } from "./spans.ts";

/** Most entries that are read, the newest. */
export const MAX_ENTRIES = 1_000_000;
const PAGE_SIZE = 500;

/** What a simulation needs of an entry. */
export interface RecordedCall
  extends Pick<DecisionEntry, "tool" | "dimensions" | "argsHash" | "atMs" | "allowed" | "replayed" | "weight"> {
  readonly verdicts: readonly Pick<LoggedVerdict, "unit" | "cost">[];
}

/** What the calls are read from: a log, or a service that has one. */
export type EntriesReader = Pick<LogReader, "entries">;

type Span = Pick<EntryQuery, "tenants" | "fromMs" | "toMs">;

export interface LogRead extends Read {
  /** Whether the log keeps a sample: then only sessions that are whole are simulated. */
  readonly isSample: boolean;
  /** How many calls the simulated ones stand for. */
  readonly standsFor: number;
}

/** Reads the calls of a log, the oldest first. */
export async function readDecisionLog(reader: EntriesReader, query: Span, most = MAX_ENTRIES): Promise<LogRead> {
  const entries: DecisionEntry[] = [];
  for await (const page of decisionPages(reader, query, PAGE_SIZE)) {
    entries.push(...page);
    if (entries.length >= most) break;
  }
  return callsOfEntries(entries.slice(0, most).reverse());
}

/**
 * The decisions of a log, the newest first. A log is written about in the order of time: when the span was reached, a part of the log
 * without an entry of it is its end.
 */
export async function* decisionPages(
  reader: EntriesReader,
  query: Span,
  pageSize: number,
): AsyncGenerator<readonly DecisionEntry[]> {
  let isReached = query.toMs === undefined;
  let cursor: string | null = null;
  do {
    const next: Pick<EntryQuery, "cursor"> = cursor === null ? {} : { cursor };
    const page = await reader.entries({ ...query, kind: "decision", pageSize, ...next });
    const entries = page.items.filter((entry) => entry.kind === "decision");
    yield entries;
    if (entries.length === 0 && isReached && query.fromMs !== undefined) return;
    isReached ||= entries.length > 0;
    cursor = page.nextCursor;
  } while (cursor !== null);
}

/**
 * The calls of entries, in their order. Repeated answers are left out, and so are the denials that are kept of sessions
 * beside the sample.
 */
export function callsOfEntries(entries: readonly RecordedCall[]): LogRead {
  const known = new Map<string, KnownArgs>();
  const isSample = entries.some(({ weight }) => weight > 1);
  const whole = new Set(entries.flatMap((entry) => (entry.allowed ? [entry.dimensions.session] : [])));
  const isKept = ({ replayed, dimensions }: RecordedCall) => !replayed && (!isSample || whole.has(dimensions.session));
  let standsFor = 0;
  const calls = entries.flatMap((entry, i): TracedCall[] => {
    if (!isKept(entry)) return [];
    standsFor += entry.weight;
    return [
      {
        line: i + 1,
        call: callOf(entry, known),
        atMs: entry.atMs,
        durationMs: 0,
        hasFailed: null,
        result: undefined,
        isOk: null,
      },
    ];
  });
  return { calls, skipped: entries.length - calls.length, isSample, standsFor };
}

function callOf({ tool, dimensions, argsHash, verdicts }: RecordedCall, known: Map<string, KnownArgs>): Call {
  const costs = verdicts.filter(({ unit, cost }) => unit !== "calls" && cost > 0).map(({ unit, cost }) => [unit, cost]);
  const cost = costs.length === 0 ? {} : { cost: Object.fromEntries(costs) };
  return { ...dimensions, tool, ...cost, ...(argsHash === null ? {} : { args: argsNamed(argsHash, known) }) };
}

/** The same object for the same hash. */
function argsNamed(hash: string, known: Map<string, KnownArgs>): KnownArgs {
  const args = known.get(hash) ?? new KnownArgs(hash);
  known.set(hash, args);
  return args;
}
