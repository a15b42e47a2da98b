// The program's side of the thread that has a log's file: starts it when it is first asked, and again when it has ended. It keeps the process
// alive only while it is asked something.

import { Worker } from "node:worker_threads";
import { closedError, StoreError } from "../store/error.ts";
import type { FileSettings } from "./sqlite/file.ts";
import type { Asked, FromThread, ToThread } from "./sqlite/messages.ts";

/** As deep as the chunks of the package, so that the path is right there, too. */
const ENTRY = new URL(`../log/sqlite/worker${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);
/** The program's own may be wrong for a file, such as `--input-type`. */
const NO_FLAGS: string[] = [];
/** Most questions that wait. */
const MAX_WAITING = 1_000;

export class LogThread {
  readonly #settings: FileSettings;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #worker: Worker | null = null;
  #next = 0;
  #closing: Promise<void> | null = null;

  constructor(settings: FileSettings) {
    this.#settings = settings;
  }

  /** @throws StoreError */
  async ask(asked: Asked, ...parameters: readonly unknown[]): Promise<unknown> {
    if (this.#closing !== null) throw closedError("SQLite");
    if (this.#waiting.size >= MAX_WAITING) {
      throw new StoreError("overloaded", `${this.#settings.path}: too many questions wait`, { transient: true });
    }
    return this.#ask(asked, parameters);
  }

  /** Does first what was asked before. What is asked from now on is refused: its answer would let the process end too early. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    if (this.#worker !== null) await this.#ask("close", []).catch(() => {});
    await this.#worker?.terminate();
  }

  #ask(asked: Asked, parameters: readonly unknown[]): Promise<unknown> {
    const number = this.#next++;
    const waiting = Promise.withResolvers<unknown>();
    const worker = this.#worker ?? this.#start();
    worker.ref();
    this.#waiting.set(number, waiting);
    worker.postMessage({ number, asked, parameters } satisfies ToThread);
    return waiting.promise;
  }

  #start(): Worker {
    const worker = new Worker(ENTRY, { workerData: this.#settings, execArgv: NO_FLAGS });
    this.#worker = worker;
    worker.unref();
    worker.on("message", (message: FromThread) => this.#answered(message));
    worker.on("error", (error) => this.#ended(worker, error));
    worker.on("exit", () => this.#ended(worker, null));
    return worker;
  }

  #answered(message: FromThread): void {
    const waiting = this.#waiting.get(message.number);
    this.#waiting.delete(message.number);
    if (this.#waiting.size === 0) this.#worker?.unref();
    if ("answer" in message) {
      waiting?.resolve(message.answer);
      return;
    }
    const { code, message: text, transient } = message.fault;
    waiting?.reject(new StoreError(code, text, { transient }));
  }

  #ended(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    const error = new StoreError("unavailable", `${this.#settings.path}: its thread has ended`, {
      transient: true,
      cause,
    });
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
