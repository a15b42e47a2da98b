// `tollgate serve` and the commands with a decision log in Postgres.

import { startPostgres } from "../postgres.ts";
import { PASSWORD, testSharedLog } from "./shared-log.ts";

const server = await startPostgres();
// The server asks for no password, and ignores this one.
const url = server.url.replace("tollgate@", `tollgate:${PASSWORD}@`);
testSharedLog(
  "Postgres",
  { ...server, url, label: server.url.replace("tollgate@", "") },
  "it has no table tollgate_log_schema",
);
