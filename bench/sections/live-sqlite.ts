// A SQLite file with a million live sessions, against one with a thousand.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "tollgate/stores/sqlite";
import { sessionName } from "../calls.ts";
import { progress } from "../harness.ts";
import { endOfWindowMs, KEY, MEANING, measureLive, SPENT_TEXT } from "../live-sessions.ts";
import type { Section } from "../section.ts";

export const section: Section = {
  title: "SQLite, a million live sessions",
  meaning: `${MEANING} Each number of sessions has a file of its own.`,

  async measure(isShort) {
    const folder = mkdtempSync(join(tmpdir(), "tollgate-bench-"));
    try {
      return await measureLive("SQLite", isShort, async (sessions) => {
        const path = join(folder, `${sessions}.db`);
        await fill(path, sessions);
        return { open: async () => ({ store: sqliteStore(path), close: async () => {} }) };
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function fill(path: string, sessions: number): Promise<void> {
  progress(`filling SQLite with ${sessions} sessions`);
  // Makes the tables.
  await sqliteStore(path).close();
  const database = new DatabaseSync(path);
  const insert = database.prepare("INSERT INTO buckets (key, value, expires_at_ms) VALUES (?, ?, ?)");
  const endMs = endOfWindowMs();
  database.exec("BEGIN");
  for (let i = 0; i < sessions; i++) insert.run(`${KEY.before}${sessionName(i)}${KEY.after}`, SPENT_TEXT, endMs);
  database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
}
