// The parent's side of worker processes: starts them, hands out tasks, kills one and starts it again.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { FromWorker, JobName, WorkerFault } from "./worker.ts";

const ENTRY = fileURLToPath(new URL("../../bin/tollgate.js", import.meta.url));

/** A task failed in a worker: `fault` says how. */
export class WorkerError extends Error {
  readonly fault: WorkerFault;

  constructor(fault: WorkerFault) {
    super(fault.message);
    this.fault = fault;
  }
}

const running = new Set<ChildProcess>();
// Registered when this file is loaded, before any hook of a command: workers end before their temporary folder is removed.
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** One worker's place: the process in it may be killed and started again. */
export class Worker<Task, Result> {
  readonly #job: JobName;
  readonly #settings: unknown;
  readonly #waiting = new Map<number, PromiseWithResolvers<Result>>();
  /** The newest process in this place, whether it is ready, at work or dead. */
  #child: ChildProcess;
  /** The process for the next task. */
  #ready: Promise<ChildProcess>;
  #next = 0;
  #isStopped = false;

  constructor(job: JobName, settings: unknown) {
    this.#job = job;
    this.#settings = settings;
    this.#child = this.#fork();
    this.#ready = this.#start(this.#child);
    // The caller of the first task gets the error.
    this.#ready.catch(() => {});
  }

  /**
   * Does a task in the process of this place, once it is ready. Returns the result and the process's id.
   *
   * @throws WorkerError when the task failed, or the process has ended
   */
  async perform(task: Task): Promise<{ readonly result: Result; readonly pid: number }> {
    const child = await this.#ready;
    if (hasEnded(child)) throw endOf(child);
    const number = this.#next++;
    const waiting = Promise.withResolvers<Result>();
    this.#waiting.set(number, waiting);
    send(child, { number, task });
    return { result: await waiting.promise, pid: child.pid ?? 0 };
  }

  /**
   * Kills the process with SIGKILL and starts another: when it has nothing to do, or during its tasks, which fail
   * (`ended`). New tasks wait for that.
   *
   * @throws WorkerError when the process had ended by itself, or the next one does not start
   */
  async restart(when: "idle" | "at-work" = "idle"): Promise<{ readonly killed: number; readonly started: number }> {
    const current = this.#ready;
    const next = Promise.withResolvers<ChildProcess>();
    next.promise.catch(() => {});
    this.#ready = next.promise;
    try {
      const old = await current;
      if (when === "idle") await Promise.allSettled([...this.#waiting.values()].map(({ promise }) => promise));
      if (hasEnded(old)) throw endOf(old);
      await kill(old);
      if (this.#isStopped) throw endOf(old);
      this.#child = this.#fork();
      const started = await this.#start(this.#child);
      next.resolve(started);
      return { killed: old.pid ?? 0, started: started.pid ?? 0 };
    } catch (error) {
      next.reject(error);
      throw error;
    }
  }

  /** Kills whatever process there is, ready or not. A worker holds nothing that this could lose. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await kill(this.#child);
  }

  #fork(): ChildProcess {
    const child = fork(ENTRY, ["worker"], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    running.add(child);
    return child;
  }

  /** Tells a process its job, and waits until it is ready for tasks. */
  #start(child: ChildProcess): Promise<ChildProcess> {
    return new Promise((resolve, reject) => {
      child.on("message", (message: FromWorker) => {
        if ("ready" in message) resolve(child);
        else if ("result" in message) this.#waiting.get(message.number)?.resolve(message.result as Result);
        else if (message.number === null) reject(new WorkerError(message.error));
        else this.#fail(message.number, new WorkerError(message.error));
        if ("result" in message) this.#waiting.delete(message.number);
      });
      // It could not be started.
      child.on("error", reject);
      child.once("exit", () => {
        running.delete(child);
        reject(endOf(child));
        for (const number of this.#waiting.keys()) this.#fail(number, endOf(child));
      });
      send(child, { job: this.#job, settings: this.#settings });
    });
  }

  #fail(number: number, error: WorkerError): void {
    this.#waiting.get(number)?.reject(error);
    this.#waiting.delete(number);
  }
}

/** Sends a message to a process. One that takes none is of no use any more: its end fails what waits for it. */
function send(child: ChildProcess, message: object): void {
  child.send(message, (error) => {
    if (error !== null) child.kill("SIGKILL");
  });
}

function hasEnded({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid === undefined || exitCode !== null || signalCode !== null;
}

function endOf({ pid, exitCode, signalCode }: ChildProcess): WorkerError {
  return new WorkerError({ kind: "ended", message: `process ${pid} ended: ${signalCode ?? `exit code ${exitCode}`}` });
}

async function kill(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}
