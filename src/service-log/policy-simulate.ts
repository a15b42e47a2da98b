// `POST /v1/policy/simulate`: what a policy would have done with the calls of the decision log, beside another one. Nothing changes. How
// it is played, simulation-node.ts knows.

import { systemClock } from "../clock.ts";
import { LateError, within } from "../deadlines.ts";
import { type SimulateBody, type Simulated, simulatedSchema, simulateSchema } from "../http/simulation-bodies.ts";
import type { LogReader, LogStorage } from "../log/storage.ts";
import type { Asking } from "../service/context.ts";
import { invalidBody, ProblemError, stopping } from "../service/problems.ts";
import type { Route } from "../service/route.ts";
import { noLog } from "./routes.ts";

const HOUR_MS = 3_600_000;
/** How long a simulation may take. */
const TAKES_MS = 30_000;
/** What Node says of a thread that took more memory than it may. */
const OUT_OF_MEMORY = "ERR_WORKER_OUT_OF_MEMORY";

export function simulateRoute(storage: LogStorage | null): Route {
  let isBusy = false;
  return {
    method: "POST",
    path: "/v1/policy/simulate",
    operationId: "simulatePolicy",
    scope: "read",
    summary: "What a policy would have done with the calls of the decision log, and where another one differs",
    request: simulateSchema,
    response: simulatedSchema,
    async run(asking, body) {
      if (asking.caller.tenants !== null) {
        throw new ProblemError("not-for-tenants", "A simulation is of the calls of all tenants.");
      }
      const reader = storage?.read;
      if (reader === undefined) throw noLog(storage);
      if (isBusy) {
        throw new ProblemError("busy", "Another simulation runs: there is one at a time.", {
          headers: { "retry-after": "5" },
        });
      }
      isBusy = true;
      try {
        return await simulated(asking, body as SimulateBody, reader);
      } finally {
        isBusy = false;
      }
    },
  };
}

async function simulated({ context, request }: Asking, body: SimulateBody, reader: LogReader): Promise<Simulated> {
  const { source, against = context.inForce.source, toMs } = body;
  const endMs = toMs ?? systemClock.nowMs();
  const { fromMs = Math.max(0, endMs - HOUR_MS) } = body;
  if (fromMs > endMs) throw invalidBody("fromMs", "a time that is not after toMs", String(fromMs));
  const { simulateLog } = await import("./simulation-node.ts");
  const over = new AbortController();
  const signals = [over.signal, request.signal, ...(context.stop === undefined ? [] : [context.stop])];
  const asked = { source, against, reader, fromMs, ...(toMs === undefined ? {} : { toMs }) };
  const playing = simulateLog(asked, AbortSignal.any(signals));
  // It is not in flight: a service that closes does not wait for it.
  context.inFlight--;
  try {
    return { fromMs, toMs: endMs, ...(await within(TAKES_MS, playing)) };
  } catch (error) {
    if (context.stop?.aborted) throw stopping();
    if (request.signal.aborted) throw new ProblemError("client-gone", "The client went away.");
    if (!(error instanceof LateError) && (error as { readonly code?: unknown }).code !== OUT_OF_MEMORY) throw error;
    throw new ProblemError(
      "too-much-to-simulate",
      `The simulation took longer than ${TAKES_MS / 1_000} s, or too much memory: ask for a shorter time.`,
    );
  } finally {
    context.inFlight++;
    over.abort();
    await playing.catch(() => {});
  }
}
