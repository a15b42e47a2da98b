// What `tollgate doctor` says of a decision log: whether it can be read, how large its file is, its newest entry, and what was lost.

import { statSync } from "node:fs";
import { systemClock } from "../clock.ts";
import { formatDuration } from "../kernel/duration.ts";
import { MisuseError } from "../kernel/errors.ts";
import { amount } from "../kernel/words.ts";
import type { LogReader } from "../log/storage.ts";
import { StoreError } from "../store/error.ts";
import type { SetupCheck } from "../store/store.ts";
import { timeText } from "./entry-text.ts";
import { openLog } from "./log-url.ts";
import { storeLabel } from "./store-url.ts";

/** Events that are looked at for entries that were lost. */
const EVENTS = 500;
const DAY_MS = 86_400_000;

/** @param url absent, or `none`: there is no log, and nothing to check */
export async function logChecks(url: string | undefined): Promise<SetupCheck[]> {
  if (url === undefined || url === "none") return [{ name: "log", value: "none", problem: null }];
  const label = storeLabel(url);
  try {
    const log = await openLog(url, false);
    try {
      const reader = log?.storage.read;
      return [
        { name: "log", value: label, problem: null },
        ...sizeOf(url),
        ...(reader === undefined ? [] : await checksOf(reader)),
      ];
    } finally {
      await log?.storage.close();
    }
  } catch (error) {
    if (!StoreError.isInstance(error) && !MisuseError.isInstance(error)) throw error;
    return [{ name: "log", value: label, problem: error.message }];
  }
}

function sizeOf(url: string): SetupCheck[] {
  if (!url.startsWith("sqlite:")) return [];
  const { size } = statSync(url.slice("sqlite:".length));
  return [{ name: "log size", value: `${(size / 1e6).toFixed(1)} MB`, problem: null }];
}

async function checksOf(reader: LogReader): Promise<SetupCheck[]> {
  const nowMs = systemClock.nowMs();
  const [newest] = (await reader.entries({ tenants: null, pageSize: 1 })).items;
  const age =
    newest === undefined
      ? ""
      : `${timeText(newest.atMs, nowMs)}, ${formatDuration(Math.max(0, nowMs - newest.atMs))} ago`;
  const query = { kind: "event", tenants: null, fromMs: nowMs - DAY_MS, pageSize: EVENTS } as const;
  const lost = (await reader.entries(query)).items.reduce((sum, entry) => {
    return entry.kind === "event" && entry.type === "log.dropped" ? sum + Number(entry.data.entries ?? 0) : sum;
  }, 0);
  return [
    { name: "newest entry", value: newest === undefined ? "none yet" : age, problem: null },
    lost === 0
      ? { name: "entries lost", value: "none in 24 hours", problem: null }
      : { name: "entries lost", value: `${amount(lost, "entries")} in 24 hours`, problem: LOST },
  ];
}

const LOST =
  "more was decided than could be written: look at the log's disk or server, or keep a smaller share with the policy's log";
