// Bytes of a live key: in memory, beside the peers and a bare Map, and in a SQLite file.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sqliteStore } from "tollgate/stores/sqlite";
import { ONE, PEER, sessionName } from "../calls.ts";
import { number, progress } from "../harness.ts";
import type { Kind } from "../race.ts";
import type { Section } from "../section.ts";
import { limiterOf } from "../tollgate.ts";

const FULL = 100_000;
const SHORT = 10_000;
const AT_ONCE = 512;
const TO_PEER = 0.5;
const HOLDERS: readonly { readonly name: string; readonly kind: Kind; readonly holder: string }[] = [
  { name: "Tollgate", kind: "tollgate", holder: "tollgate" },
  { name: PEER, kind: "peer", holder: "flexible" },
  { name: "express-rate-limit, its MemoryStore", kind: "peer", holder: "express" },
  { name: "bare form: a Map of counters", kind: "floor", holder: "bareForm" },
];

export const section: Section = {
  title: "Bytes per live key",
  meaning: `How much the heap grows by one bucket for each session, each holder in a process of its own, after a full
garbage collection. It includes the key's text where the holder makes one, and the session's string where it keeps it.
${PEER} also has a timer for each key, in heap that is counted here. The SQLite file is Tollgate's, of the same
sessions.`,

  async measure(isShort) {
    const keys = isShort ? SHORT : FULL;
    const holders = HOLDERS.map((each) => ({ ...each, bytes: heapPerKey(each.holder, keys) }));
    const file = await filePerKey(keys);
    const bytesOf = (name: string) => holders.find((each) => each.name === name)?.bytes ?? Number.NaN;
    return {
      work: `${number(keys)} live keys, one limit`,
      goals: [
        {
          what: `bytes of a live key in memory, to ${PEER}`,
          bound: "at most",
          wanted: TO_PEER,
          measured: bytesOf("Tollgate") / bytesOf(PEER),
        },
      ],
      tables: [
        {
          head: [`${number(keys)} live keys, one limit`, "bytes per key"],
          rows: [
            ...holders.map(({ name, bytes }) => [name, number(bytes)]),
            ["Tollgate, its SQLite file", number(file)],
          ],
        },
      ],
      panel: {
        title: "bytes, shorter is better",
        bars: [
          ...holders.map(({ name, kind, bytes }) => ({ name, kind, value: bytes })),
          { name: "Tollgate, its SQLite file", kind: "tollgate", value: file },
        ],
      },
      rounds: { holders, file },
    };
  },
};

function heapPerKey(holder: string, keys: number): number {
  progress(`bytes per key: ${holder}`);
  const program = fileURLToPath(new URL("../heap.ts", import.meta.url));
  const child = spawnSync(process.execPath, [...process.execArgv, program, holder, String(keys)], {
    encoding: "utf8",
    timeout: 60_000,
  });
  if (child.status !== 0) throw new Error(`holding keys with ${holder} failed: ${child.stderr}`);
  return Number(child.stdout);
}

async function filePerKey(keys: number): Promise<number> {
  progress("bytes per key: a SQLite file");
  const folder = mkdtempSync(join(tmpdir(), "tollgate-bench-"));
  try {
    const file = join(folder, "keys.db");
    const limiter = limiterOf(ONE, sqliteStore(file));
    for (let from = 0; from < keys; from += AT_ONCE) {
      const sessions = Array.from({ length: Math.min(AT_ONCE, keys - from) }, (_, i) => sessionName(from + i));
      await Promise.all(sessions.map((session) => limiter.consume({ tool: "search", session })));
    }
    await limiter.close();
    return statSync(file).size / keys;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
