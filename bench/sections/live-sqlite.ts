// A SQLite file with a million live sessions, beside one with a thousand, and beside bare statements on such files.

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "tollgate/stores/sqlite";
import { bareStatements } from "../floors.ts";
import { BUCKET, endOfWindowMs, keysOf, LIMITS, liveSection } from "../live-sessions.ts";
import { temporaryFolder } from "../servers.ts";

export const section = liveSection({
  name: "SQLite",
  note: `Each number of sessions has a file of its own. The bare statements have a file with the same rows, read and write the
same rows in the same transactions of 256 calls, with SQLite's own settings for its cache and its log, and have no policy, checks,
expiry or verdicts.`,
  async start(stack) {
    const folder = stack.use(temporaryFolder());
    /** A file with the tables that `make` makes. */
    const filled = async (name: string, table: string, sessions: number, make: (path: string) => unknown) => {
      const path = join(folder.path, `${name}-${sessions}.db`);
      await make(path);
      const database = new DatabaseSync(path);
      const insert = database.prepare(`INSERT INTO ${table} VALUES (?, ?, ?)`);
      const endMs = endOfWindowMs();
      database.exec("BEGIN");
      for (const key of keysOf(0, sessions)) insert.run(key, BUCKET, endMs);
      database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
      database.close();
      return path;
    };
    return {
      async store(sessions) {
        const path = await filled("tollgate", "buckets", sessions, (path) => sqliteStore(path).close());
        return { open: async () => ({ store: sqliteStore(path) }) };
      },
      async bare(sessions) {
        const path = await filled("bare", "t", sessions, (path) => bareStatements(LIMITS, path).close?.());
        return async () => bareStatements(LIMITS, path);
      },
    };
  },
});
