// A replay under way: calls are dealt over the workers, and their answers are added up. It holds no count of a limit.

import { randomId } from "../ids.ts";
import type { Call } from "../kernel/call.ts";
import { percentileMs } from "./latency.ts";
import { createProgress } from "./progress.ts";
import type { ReplayAnswer, ReplaySettings } from "./replay-job.ts";
import { Worker, WorkerError } from "./worker-pool.ts";

/** Sessions that have a call under way at one time. */
const SIDE_BY_SIDE = 16;

type ReplayWorker = Worker<Call, ReplayAnswer>;

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
  calls: readonly Call[],
  settings: ReplaySettings,
  { instances, killAfter }: { readonly instances: number; readonly killAfter?: number | undefined },
): Promise<Totals> {
  const totals = new Totals();
  const run = randomId();
  let killed: ReplayWorker | null = null;
  const progress = createProgress(calls.length);
  const workers = Array.from({ length: instances }, () => new Worker<Call, ReplayAnswer>("replay", settings));

  async function decide(worker: ReplayWorker, call: Call) {
    try {
      return await worker.perform(call);
    } catch (error) {
      if (worker !== killed || !(error instanceof WorkerError) || error.fault.kind !== "ended") throw error;
      return worker.perform(call);
    }
  }

  async function playSession(session: readonly Call[], offset: number): Promise<void> {
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
    const keyed = calls.map((call, i) => ({ ...call, idempotencyKey: `${run}:${i}` }));
    const sessions = [...Map.groupBy(keyed, ({ session }) => String(session)).values()];
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
