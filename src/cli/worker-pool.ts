// The parent's side of worker processes: starts them, hands out tasks, kills one and starts it again.

import { type ChildProcess, fork } from "node:child_process";
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

/** One worker's place: the process in it may be killed and started again. */
export class Worker<Task, Result> {
  readonly #job: JobName;
  readonly #settings: unknown;
  readonly #waiting = new Map<number, { resolve: (result: Result) => void; reject: (error: Error) => void }>();
  #process: Promise<ChildProcess>;
  #next = 0;
  #stopping = false;
  readonly #whenIdle: (() => void)[] = [];

  constructor(job: JobName, settings: unknown) {
    this.#job = job;
    this.#settings = settings;
    this.#process = this.#start();
    // Whoever performs the first task learns of it.
    this.#process.catch(() => {});
  }

  /** Does a task in the process that is in this place, once it is ready, and says which process it was. */
  async perform(task: Task): Promise<{ readonly result: Result; readonly pid: number }> {
    const child = await this.#process;
    const number = this.#next++;
    const result = await new Promise<Result>((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      child.send({ number, task });
    });
    return { result, pid: child.pid ?? 0 };
  }

  /** Waits until the process has nothing to do, kills it with SIGKILL and starts another. New tasks wait for that. */
  async restart(): Promise<{ readonly killed: number; readonly started: number }> {
    const current = this.#process;
    const { promise, resolve } = Promise.withResolvers<ChildProcess>();
    this.#process = promise;
    const old = await current;
    if (this.#waiting.size > 0) await new Promise<void>((done) => this.#whenIdle.push(done));
    await this.#end(old, "SIGKILL");
    this.#stopping = false;
    resolve(this.#start());
    return { killed: old.pid ?? 0, started: (await promise).pid ?? 0 };
  }

  /** Ends the process. */
  async stop(): Promise<void> {
    await this.#end(await this.#process, "SIGTERM").catch(() => {});
  }

  async #end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
    this.#stopping = true;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }

  #start(): Promise<ChildProcess> {
    const child = fork(ENTRY, ["worker"], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const started = new Promise<ChildProcess>((resolve, reject) => {
      child.on("message", (message: FromWorker) => {
        if ("ready" in message) resolve(child);
        else if (message.number === null) reject(new WorkerError((message as { error: WorkerFault }).error));
        else this.#settle(message.number, message);
      });
      child.once("error", reject);
      child.once("exit", (code, signal) => {
        if (this.#stopping) return;
        const error = new WorkerError({ kind: "other", message: `process ${child.pid} ended: ${signal ?? code}` });
        reject(error);
        for (const { reject: fail } of this.#waiting.values()) fail(error);
        this.#waiting.clear();
      });
    });
    child.send({ job: this.#job, settings: this.#settings });
    return started;
  }

  #settle(number: number, message: FromWorker): void {
    const task = this.#waiting.get(number);
    this.#waiting.delete(number);
    if ("error" in message) task?.reject(new WorkerError(message.error));
    else if ("result" in message) task?.resolve(message.result as Result);
    if (this.#waiting.size === 0) this.#whenIdle.pop()?.();
  }
}
