// Instances of the service, each a process of its own on a loopback port: started, killed, ended.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ROOT } from "../../test/sources.ts";

export interface Instance {
  readonly url: string;
  readonly child: ChildProcess;
}

const STARTS_WITHIN_MS = 30_000;
const READY_WITHIN_MS = 10_000;
const LOOK_AGAIN_MS = 10;
const ENDS_WITHIN_MS = 15_000;
/** What is kept of an instance's log, to say why it did not start. */
const LOG_CHARACTERS = 2_000;

export class Fleet {
  readonly #folder = mkdtempSync(join(tmpdir(), "tollgate-load-"));
  readonly #args: readonly string[];
  readonly #children = new Set<ChildProcess>();
  readonly #running: Instance[] = [];
  #isStopped = false;
  readonly #abandon = () => {
    for (const child of this.#children) child.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  };

  constructor(policy: string, store: string) {
    const file = join(this.#folder, "policy.yaml");
    writeFileSync(file, policy);
    this.#args = ["serve", "--policy", file, "--store", store, "--port", "0", "--log-level", "warn"];
    process.once("exit", this.#abandon);
  }

  /** Instances that listen, and that were not told to stop. */
  get running(): readonly Instance[] {
    return this.#running;
  }

  /** Starts one, and waits until it says that it may be sent calls. */
  async start(): Promise<Instance> {
    if (this.#isStopped) throw new Error("no more instances are started");
    const child = spawn(process.execPath, [`${ROOT}bin/tollgate.js`, ...this.#args], {
      cwd: this.#folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    const url = await urlOf(child);
    await ready(url);
    const instance = { url, child };
    this.#running.push(instance);
    return instance;
  }

  /** Asks one to end with a signal, and waits until it has. A graceful end has to be one. */
  async end(instance: Instance, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const { child } = instance;
    this.#running.splice(this.#running.indexOf(instance), 1);
    const ended = once(child, "exit", { signal: AbortSignal.timeout(ENDS_WITHIN_MS) });
    child.kill(signal);
    const [code, by] = await ended;
    if (signal === "SIGTERM" && code !== 0)
      throw new Error(`an instance that was to end well ended with ${code ?? by}`);
  }

  /** Ends all of them at once. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const ended = [...this.#children].map((child) => once(child, "exit"));
    this.#abandon();
    await Promise.all(ended);
    process.off("exit", this.#abandon);
  }
}

/** Where an instance says that it listens. */
function urlOf(child: ChildProcess): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let [output, log] = ["", ""];
  const timer = setTimeout(() => reject(new Error(`an instance did not start: ${log}`)), STARTS_WITHIN_MS);
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output = (output + text).slice(0, LOG_CHARACTERS);
    const url = /listens at (http:\S+)/.exec(output)?.[1];
    if (url !== undefined) resolve(url);
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-LOG_CHARACTERS);
  });
  child.once("exit", (code, signal) => reject(new Error(`an instance ended with ${code ?? signal}: ${log}`)));
  return promise.finally(() => clearTimeout(timer));
}

/** Waits as a load balancer does before it sends calls. */
async function ready(url: string): Promise<void> {
  const signal = AbortSignal.timeout(READY_WITHIN_MS);
  while ((await fetch(`${url}/readyz`, { signal })).status !== 200) await sleep(LOOK_AGAIN_MS);
}
