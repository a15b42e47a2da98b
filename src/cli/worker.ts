// A worker process: it gets its job, opens what the job needs, and answers one task after the other. It ends when its
// parent does.

import { MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store/error.ts";
import { demoJob } from "./demo-job.ts";
import { replayJob } from "./replay-job.ts";

const jobs = { replay: replayJob, demo: demoJob };

/** What a worker is for. */
export type JobName = keyof typeof jobs;

/** From the parent: first which job, then one task after the other. */
export type ToWorker =
  | { readonly job: JobName; readonly settings: never }
  | { readonly number: number; readonly task: never };

/** To the parent: that it is ready, then a result or an error for each task. */
export type FromWorker =
  | { readonly ready: true }
  | { readonly number: number; readonly result: unknown }
  | { readonly number: number | null; readonly error: WorkerFault };

/** An error on its way between processes. */
export interface WorkerFault {
  /** `ended`: the process is gone, and its parent says so. */
  readonly kind: "misuse" | "store" | "ended" | "unforeseen";
  readonly message: string;
}

/** Runs a worker until its parent is gone. */
export async function serveWorker(): Promise<void> {
  const send = (message: FromWorker) => process.send?.(message);
  let perform: ((task: never) => Promise<unknown>) | null = null;
  process.on("message", async (message: ToWorker) => {
    const number = "number" in message ? message.number : null;
    try {
      if ("job" in message) {
        perform = await jobs[message.job](message.settings);
        send({ ready: true });
      } else if (perform !== null) {
        send({ number: message.number, result: await perform(message.task) });
      }
    } catch (error) {
      send({ number, error: faultOf(error) });
    }
  });
  if (process.connected) await new Promise((resolve) => process.once("disconnect", resolve));
  process.exit();
}

function faultOf(error: unknown): WorkerFault {
  if (MisuseError.isInstance(error)) return { kind: "misuse", message: error.message };
  if (StoreError.isInstance(error)) return { kind: "store", message: error.message };
  return { kind: "unforeseen", message: error instanceof Error ? `${error.stack}` : String(error) };
}
