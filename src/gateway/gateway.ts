// Puts the parts of a gateway together.

import { createLedger } from "./calls/ledger.ts";
import type { StartStdio } from "./config/config.ts";
import { createDimensionsOf } from "./identity/dimensions.ts";
import { createSeal } from "./seal.ts";
import { runStdio } from "./stdio/run.ts";

/** Starts a server, between this process's own input and output. */
export const startStdio: StartStdio = async (config, limiter, log) => {
  const { calls } = config;
  const ledger = createLedger({
    limiter,
    dimensionsOf: createDimensionsOf(calls.identity, null),
    seal: createSeal(calls.secrets),
    config: calls,
    toolOf: (_server, name) => name,
    registry: { sawCall() {} },
    log,
  });
  return runStdio(config, ledger, log, { clientIn: process.stdin, clientOut: process.stdout });
};
