// A replay under way: calls are dealt over the workers, and their answers are added up. It holds no count of a limit.

import type { Call } from "../kernel/call.ts";
import { percentileMs } from "./latency.ts";
import { createProgress } from "./progress.ts";
import type { ReplayAnswer, ReplaySettings } from "./replay-job.ts";
import { Worker } from "./worker-pool.ts";

/** Sessions that have a call under way at one time. */
const SIDE_BY_SIDE = 16;

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

/** Deals the calls of each session over processes in turn, sessions side by side. */
export async function runReplay(
  calls: readonly Call[],
  settings: ReplaySettings,
  { instances, killAfter }: { readonly instances: number; readonly killAfter?: number | undefined },
): Promise<Totals> {
  const totals = new Totals();
  const progress = createProgress(calls.length);
  const workers = Array.from({ length: instances }, () => new Worker<Call, ReplayAnswer>("replay", settings));

  async function playSession(session: readonly Call[], offset: number): Promise<void> {
    for (const [i, call] of session.entries()) {
      const worker = workers[(offset + i) % workers.length] as Worker<Call, ReplayAnswer>;
      const { result, pid } = await worker.perform(call);
      totals.add(result, pid);
      progress.tick();
      // The other sessions go on meanwhile.
      if (totals.calls === killAfter) totals.restart = await worker.restart();
    }
  }

  try {
    const sessions = [...Map.groupBy(calls, ({ session }) => String(session)).values()];
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
