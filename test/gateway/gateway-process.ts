// A stdio gateway as a process, in front of the raw server: for tests that end it.

import { runStdio } from "../../src/gateway/stdio/run.ts";
import { openLedger } from "./open-ledger.ts";
import { configOf } from "./stdio-gateway.ts";

const log = { warn: () => {}, error: () => {} };
const running = await runStdio(configOf(), openLedger(), log, { clientIn: process.stdin, clientOut: process.stdout });
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.once(signal, () => void running.close());
process.exit(await running.ended);
