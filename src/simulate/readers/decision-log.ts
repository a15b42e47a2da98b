// Calls from a decision log. It has a hash of the arguments and neither results nor errors.

import { KnownArgs } from "../../kernel/args.ts";
import type { Call } from "../../kernel/call.ts";
import type { DecisionEntry } from "../../log/entry.ts";
import type { EntryQuery, LogReader } from "../../log/storage.ts";
import type { TracedCall } from "../traced-call.ts";
import type { Read } from "./spans.ts";

/** Most entries that are read, the newest. */
export const MAX_ENTRIES = 1_000_000;
const PAGE_SIZE = 500;

export interface LogRead extends Read {
  /** Whether the log keeps a sample: then only sessions that are whole are simulated. */
  readonly isSample: boolean;
}

/** Reads the calls of a log, the oldest first. */
export async function readDecisionLog(
  reader: LogReader,
  query: Pick<EntryQuery, "tenants" | "fromMs" | "toMs">,
  most = MAX_ENTRIES,
): Promise<LogRead> {
  const entries: DecisionEntry[] = [];
  let cursor: string | null = null;
  do {
    const next: Pick<EntryQuery, "cursor"> = cursor === null ? {} : { cursor };
    const page = await reader.entries({ ...query, kind: "decision", pageSize: PAGE_SIZE, ...next });
    for (const entry of page.items) if (entry.kind === "decision") entries.push(entry);
    cursor = page.nextCursor;
  } while (cursor !== null && entries.length < most);
  return callsOfEntries(entries.slice(0, most).reverse());
}

/**
 * The calls of entries, in their order. Repeated answers are left out, and so are the denials that are kept of sessions
 * beside the sample.
 */
export function callsOfEntries(entries: readonly DecisionEntry[]): LogRead {
  const known = new Map<string, KnownArgs>();
  const isSample = entries.some(({ weight }) => weight > 1);
  const whole = new Set(entries.flatMap((entry) => (entry.allowed ? [entry.dimensions.session] : [])));
  const isKept = ({ replayed, dimensions }: DecisionEntry) => !replayed && (!isSample || whole.has(dimensions.session));
  const calls = entries.flatMap((entry, i): TracedCall[] => {
    if (!isKept(entry)) return [];
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
  return { calls, skipped: entries.length - calls.length, isSample };
}

function callOf({ tool, dimensions, argsHash, verdicts }: DecisionEntry, known: Map<string, KnownArgs>): Call {
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
