// One of several processes on one SQLite file, with a limiter of its own and callers that each await their answer.

import { sqliteStore } from "tollgate/stores/sqlite";
import { askAll, type Call, roomy, THREE } from "../calls.ts";
import { allows, limiterOf } from "../tollgate.ts";

/** Asks for these calls to be decided on that file. */
export interface Task {
  readonly path: string;
  readonly calls: readonly Call[];
  readonly callers: number;
  /** When to begin, epoch ms. */
  readonly startMs: number;
}

/** What came of it. */
export interface Done {
  readonly admitted: number;
  /** Epoch ms. */
  readonly endMs: number;
}

async function decideAll({ path, calls, callers, startMs }: Task): Promise<Done> {
  const limiter = limiterOf(roomy(THREE), sqliteStore(path));
  await new Promise((resolve) => setTimeout(resolve, startMs - Date.now()));
  const admitted = await askAll(calls, callers, { decide: (call) => limiter.consume(call), allows });
  const endMs = Date.now();
  await limiter.close();
  return { admitted, endMs };
}

process.on("message", async (task: Task) => process.send?.(await decideAll(task)));
process.on("disconnect", () => process.exit());
process.send?.("ready");
