// Puts the parts of a gateway together.

import { createLedger } from "./calls/ledger.ts";
import type { StartHttp, StartStdio } from "./config/config.ts";
import { Sessions } from "./http/session.ts";
import { listenHttp } from "./http/server.ts";
import { createAuthenticator } from "./identity/authenticator.ts";
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

/** Listens for clients of servers that are reached over HTTP. */
export const startHttp: StartHttp = async (config, limiter, registry, log, options = {}) => {
  const { auth, calls, servers } = config;
  const seal = createSeal(calls.secrets);
  // With several servers, a limit must not mix their tools.
  const toolOf = (server: string, name: string) => (servers.length === 1 ? name : `${server}_${name}`);
  const dimensionsOf = createDimensionsOf(calls.identity, auth?.config.kind ?? null);
  const ledger = createLedger({ limiter, dimensionsOf, seal, config: calls, toolOf, registry, log });
  const authenticator = createAuthenticator(auth, config.publicUrl, log);
  const sessions = new Sessions(seal);
  const room = { ledger, sessions, seal, authenticator, registry, toolOf, bounds: config, log };
  return listenHttp(config, room, options);
};
