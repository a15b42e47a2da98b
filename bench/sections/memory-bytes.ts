// Bytes of a live key: in memory, beside the peers and a bare Map, and in a SQLite file.

import { statSync } from "node:fs";
import { join } from "node:path";
import { sqliteStore } from "tollgate/stores/sqlite";
import { ONE, PEER, sessionName } from "../calls.ts";
import { startChildren } from "../children.ts";
import { number, progress } from "../harness.ts";
import type { Held } from "../heap.ts";
import { atMost, type Section } from "../section.ts";
import { temporaryFolder } from "../servers.ts";
import { limiterOf } from "../tollgate.ts";

const FULL = 100_000;
const SHORT = 10_000;
const AT_ONCE = 512;
const TO_PEER = 0.5;
const HOLDERS = [
  { name: "Tollgate", holder: "tollgate" },
  { name: PEER, holder: "flexible" },
  { name: "express-rate-limit, its MemoryStore", holder: "express" },
  { name: "bare form: a Map of counters", holder: "bareForm" },
] as const;

export const section: Section = {
  title: "Bytes per live key",
  meaning: `How much the heap grows for one bucket of each session, each holder in its own process, after a full garbage
collection. It includes the text of the key where the holder makes one, and the session's string where it keeps it.
${PEER} also has a timer for each key, which is included. The SQLite file is Tollgate's, of the same sessions.`,

  async measure(isShort) {
    const keys = isShort ? SHORT : FULL;
    const bytes: number[] = [];
    for (const { holder } of HOLDERS) bytes.push(await heapPerKey({ holder, keys }));
    const [own, peer] = bytes;
    const work = `${number(keys)} live keys, one limit`;
    return {
      work,
      goals: [atMost(`bytes of a live key in memory, to ${PEER}`, TO_PEER, Number(own) / Number(peer))],
      tables: [
        {
          head: [work, "bytes per key"],
          rows: [
            ...HOLDERS.map(({ name }, i) => [name, number(Number(bytes[i]))]),
            ["Tollgate, its SQLite file", number(await filePerKey(keys))],
          ],
        },
      ],
    };
  },
};

async function heapPerKey(held: Held): Promise<number> {
  progress(`bytes per key: ${held.holder}`);
  using child = await startChildren<Held, number>(new URL("../heap.ts", import.meta.url), { maxMs: 60_000 });
  const [bytes = Number.NaN] = await child.ask([held]);
  return bytes;
}

async function filePerKey(keys: number): Promise<number> {
  progress("bytes per key: a SQLite file");
  using folder = temporaryFolder();
  const file = join(folder.path, "keys.db");
  const limiter = limiterOf(ONE, sqliteStore(file));
  for (let from = 0; from < keys; from += AT_ONCE) {
    const sessions = Array.from({ length: Math.min(AT_ONCE, keys - from) }, (_, i) => sessionName(from + i));
    await Promise.all(sessions.map((session) => limiter.consume({ tool: "search", session })));
  }
  await limiter.close();
  return statSync(file).size / keys;
}
