// Instances of the service, each in a process of its own on a loopback port: started, killed, stopped.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryFolder } from "../../../bench/servers.ts";
import { LOADER, ROOT } from "../../sources.ts";

export interface Instance {
  readonly url: string;
  readonly child: ChildProcess;
}

const STARTS_WITHIN_MS = 30_000;
const READY_WITHIN_MS = 10_000;
const LOOK_AGAIN_MS = 10;
const ENDS_WITHIN_MS = 15_000;
/** The end of an instance's log, which says why it did not start. */
const MAX_LOG = 2_000;

export class Fleet implements AsyncDisposable {
  readonly #folder = temporaryFolder();
  readonly #args: readonly string[];
  readonly #children = new Set<ChildProcess>();
  readonly #running: Instance[] = [];
  #isStopped = false;
  readonly #killAll = () => {
    for (const child of this.#children) child.kill("SIGKILL");
  };

  constructor(policy: string, store: string) {
    const file = join(this.#folder.path, "policy.yaml");
    writeFileSync(file, policy);
    this.#args = ["serve", "--policy", file, "--store", store, "--port", "0", "--log-level", "warn"];
    process.once("exit", this.#killAll);
  }

  /** Instances that listen and were not told to end. */
  get running(): readonly Instance[] {
    return this.#running;
  }

  /** Starts one, and waits until it is ready for calls. */
  async start(): Promise<Instance> {
    if (this.#isStopped) throw new Error("no more instances are started");
    const child = spawn(process.execPath, [LOADER, `${ROOT}bin/tollgate.js`, ...this.#args], {
      cwd: this.#folder.path,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    const url = await urlOf(child);
    const signal = AbortSignal.timeout(READY_WITHIN_MS);
    while ((await fetch(`${url}/readyz`, { signal })).status !== 200) await sleep(LOOK_AGAIN_MS);
    const instance = { url, child };
    this.#running.push(instance);
    return instance;
  }

  /**
   * Ends one by a signal.
   *
   * @throws Error when it does not end with 0 after SIGTERM
   */
  async end(instance: Instance, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const { child } = instance;
    this.#running.splice(this.#running.indexOf(instance), 1);
    const ended = once(child, "exit", { signal: AbortSignal.timeout(ENDS_WITHIN_MS) });
    child.kill(signal);
    const [code, by] = await ended;
    if (signal === "SIGTERM" && code !== 0) throw new Error(`an instance ended with ${code ?? by}, must end with 0`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    const ended = [...this.#children].map((child) => once(child, "exit"));
    this.#killAll();
    await Promise.all(ended);
    process.off("exit", this.#killAll);
    this.#folder[Symbol.dispose]();
  }
}

/** The URL that an instance prints when it listens. */
function urlOf(child: ChildProcess): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let [output, log] = ["", ""];
  const timer = setTimeout(() => reject(new Error(`an instance did not start: ${log}`)), STARTS_WITHIN_MS);
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output = (output + text).slice(0, MAX_LOG);
    const url = /listens at (http:\S+)/.exec(output)?.[1];
    if (url !== undefined) resolve(url);
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-MAX_LOG);
  });
  child.once("exit", (code, signal) => reject(new Error(`an instance ended with ${code ?? signal}: ${log}`)));
  return promise.finally(() => clearTimeout(timer));
}
