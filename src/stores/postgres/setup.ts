// What of a Postgres and of its client may break a promise.

import type { SetupCheck } from "../../store/store.ts";
import { listIn } from "./client.ts";
import type { Database } from "./database.ts";

/** Reads how the server and the client are set up. */
export async function setupOf(database: Database): Promise<readonly SetupCheck[]> {
  const settings = await database.query(
    "SELECT json_build_array(current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync'))::text",
  );
  const [version, commits, fsync] = listIn(settings);
  const isSure = fsync === "on" && commits !== "off";
  const loses = "a crash of the server may lose what was counted last: set fsync and synchronous_commit to on";
  return [
    { name: "version", value: `Postgres ${version}`, problem: null },
    { name: "persistence", value: `fsync ${fsync}, synchronous_commit ${commits}`, problem: isSure ? null : loses },
    ...database.settings(),
  ];
}
