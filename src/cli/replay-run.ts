// A replay under way: calls are dealt over the workers, and their answers are added up. It holds no count of a limit.

import { randomId } from "../ids.ts";
import { percentileMs } from "./latency.ts";
import { createProgress } from "./progress.ts";
import type { TracedCall } from "../simulate/traced-call.ts";
import type { ReplayAnswer, ReplayCall, ReplaySettings } from "./replay-job.ts";
import { Worker, WorkerError } from "./worker-pool.ts";

/** Sessions that have a call under way at one time. */
const SIDE_BY_SIDE = 16;

type ReplayWorker = Worker<ReplayCall, ReplayAnswer>;

/** What a replay adds up. */
export class Totals {
  allowed = 0;
  readonly deniedBy = new Map<string, number>();
  readonly decidedBy = new Map<number, number>();
  readonly #timesMs: number[] = [];
  restart: { readonly killed: number; readonly started: number } | null = null;

  get calls(): number {
    return this.#timesMs.length;
  }

  add({ allowed, deniedBy, ms }: ReplayAnswer, pid: number): void {
    if (allowed) this.allowed++;
    if (deniedBy !== null) this.deniedBy.set(deniedBy, (this.deniedBy.get(deniedBy) ?? 0) + 1);
    this.decidedBy.set(pid, (this.decidedBy.get(pid) ?? 0) + 1);
    this.#timesMs.push(ms);
  }

  percentileMs(share: number): number {
    return percentileMs(this.#timesMs, share);
  }
}

/**
 * Deals the calls of each session over processes in turn, sessions side by side. Calls that a killed process had under way
 * are dealt again under their keys.
 */
export async function runReplay(
  calls: readonly TracedCall[],
  settings: ReplaySettings,
  { instances, killAfter }: { readonly instances: number; readonly killAfter?: number | undefined },
): Promise<Totals> {
  const totals = new Totals();
  const run = randomId();
  let killed: ReplayWorker | null = null;
  const progress = createProgress(calls.length);
  const workers = Array.from({ length: instances }, () => new Worker<ReplayCall, ReplayAnswer>("replay", settings));

  async function decide(worker: ReplayWorker, call: ReplayCall) {
    try {
      return await worker.perform(call);
    } catch (error) {
      if (worker !== killed || !(error instanceof WorkerError) || error.fault.kind !== "ended") throw error;
      return worker.perform(call);
    }
  }

  async function playSession(session: readonly ReplayCall[], offset: number): Promise<void> {
    for (const [i, call] of session.entries()) {
      const worker = workers[(offset + i) % workers.length] as ReplayWorker;
      const { result, pid } = await decide(worker, call);
      totals.add(result, pid);
      progress.tick();
      // The other sessions go on meanwhile.
      if (totals.calls === killAfter) {
        killed = worker;
        totals.restart = await worker.restart("at-work");
      }
    }
  }

  try {
    const keyed = calls.map(({ call, hasFailed, result }, i): ReplayCall => {
      const key = `${run}:${i}`;
      // What is unknown is no result that came before.
      return {
        call: { ...call, idempotencyKey: key },
        hasFailed: hasFailed === true,
        result: result === undefined ? key : result,
      };
    });
    const sessions = [...Map.groupBy(keyed, ({ call }) => String(call.session)).values()];
    const waiting = sessions.entries();
    const players = Array.from({ length: SIDE_BY_SIDE }, async () => {
      for (const [offset, session] of waiting) await playSession(session, offset);
    });
    await Promise.all(players);
    return totals;
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
    progress.end();
  }
}
