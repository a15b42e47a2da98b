// One of several processes on one SQLite file, with a limiter of its own and callers that each await their answer.

import { setTimeout as sleep } from "node:timers/promises";
import { sqliteStore } from "tollgate/stores/sqlite";
import { askAll, type Call, roomy, THREE } from "../calls.ts";
import { answerParent } from "../children.ts";
import { tollgate } from "../tollgate.ts";

export interface Task {
  readonly path: string;
  readonly calls: readonly Call[];
  readonly callers: number;
  /** Epoch ms. */
  readonly startMs: number;
}

export interface Done {
  readonly admitted: number;
  /** Epoch ms. */
  readonly endMs: number;
}

answerParent(async ({ path, calls, callers, startMs }: Task): Promise<Done> => {
  const ours = tollgate(roomy(THREE), sqliteStore(path));
  await sleep(startMs - Date.now());
  const admitted = await askAll(calls, callers, ours);
  const endMs = Date.now();
  await ours.close();
  return { admitted, endMs };
});
