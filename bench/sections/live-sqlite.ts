// A SQLite file with a million live sessions, beside one with a thousand.

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "tollgate/stores/sqlite";
import { BUCKET, endOfWindowMs, keysOf, liveSection } from "../live-sessions.ts";
import { temporaryFolder } from "../servers.ts";

export const section = liveSection({
  name: "SQLite",
  note: "Each number of sessions has a file of its own.",
  async start(stack) {
    const folder = stack.use(temporaryFolder());
    return async (sessions) => {
      const path = join(folder.path, `${sessions}.db`);
      // Makes the tables.
      await sqliteStore(path).close();
      const database = new DatabaseSync(path);
      const insert = database.prepare("INSERT INTO buckets (key, value, expires_at_ms) VALUES (?, ?, ?)");
      const endMs = endOfWindowMs();
      database.exec("BEGIN");
      for (const key of keysOf(0, sessions)) insert.run(key, BUCKET, endMs);
      database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
      database.close();
      return { open: async () => ({ store: sqliteStore(path) }) };
    };
  },
});
