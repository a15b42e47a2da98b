// The way from a process to a shard of the simulated cluster, in place of a Redis client: scripts are sent to the node of the shard, which
// runs them if it knows them. What a script decides the simulated server does (server.ts); when it is asked, which script is loaded and
// when, is decided by the code under test (src/stores/redis/shard.ts).

import { monotonicClock } from "../../../src/clock.ts";
import { LateError, within } from "../../../src/deadlines.ts";
import {
  type SetupCheck,
  type StoreAnswer,
  StoreError,
  type StoreRequest,
  type Terms,
} from "../../../src/store/api.ts";
import type { Send } from "../../../src/stores/redis/client.ts";
import { redisError } from "../../../src/stores/redis/errors.ts";
import type { ShardLink, Way } from "../../../src/stores/redis/link.ts";
import type { Machine } from "../machine.ts";
import type { Network } from "../network.ts";
import type { StoreServer } from "../server.ts";
import type { SimulatedStore } from "../store.ts";
import { beatScript } from "./beat-script.ts";
import { digestOf, type ScriptName, scriptNamed } from "./scripts.ts";

/** How long a request may take that has no terms, as the Redis store has it. */
export const DEADLINE_MS = 1_000;
/** How often a command follows a shard that has moved. */
const MOST_REDIRECTIONS = 5;

/** What a script is to decide. */
interface Batch {
  readonly requests: readonly StoreRequest[];
  readonly terms: Terms;
}

/** What it has decided: it comes back beside the answer that a script would give. */
export class Answered {
  readonly answers: readonly StoreAnswer[];

  constructor(answers: readonly StoreAnswer[]) {
    this.answers = answers;
  }
}

/** When the last renewal of all marks of a process that has succeeded began and ended; `null`: there was none. */
export interface Renewed {
  beganMs: number | null;
  endedMs: number | null;
}

/** A script as it is sent. */
interface Command {
  /** `null`: it only has to be loaded, or is a beat. */
  readonly batch: Batch | null;
  readonly loads: boolean;
  readonly name: ScriptName;
  readonly args: Args;
  /** Since when all marks were renewed before it was sent; `null`: they were not. */
  readonly sinceMs: number | null;
}

type Args = readonly (string | number)[];

/** What a node says of a shard that it does not have any more. */
class Moved extends Error {}

export class SimulatedLink implements ShardLink {
  readonly deadlineMs = DEADLINE_MS;
  readonly clock = undefined;
  readonly isCluster = true;
  readonly lastFault = () => undefined;
  readonly #machine: Machine;
  readonly #network: Network;
  readonly #store: SimulatedStore;
  readonly #shard: number;
  readonly #renewed: Renewed;
  /** What the next script is to decide: commands are made at once. */
  #batch: Batch | null = null;
  #isClosed = false;

  constructor(machine: Machine, network: Network, store: SimulatedStore, shard: number, renewed: Renewed) {
    this.#machine = machine;
    this.#network = network;
    this.#store = store;
    this.#shard = shard;
    this.#renewed = renewed;
  }

  /** Lets the shard ask for a batch. */
  async ask(batch: Batch, ask: () => Promise<unknown>): Promise<readonly StoreAnswer[]> {
    this.#batch = batch;
    const asked = ask();
    this.#batch = null;
    try {
      await asked;
    } catch (error) {
      if (error instanceof Answered) return error.answers;
      throw error;
    }
    throw new Error("no script has answered a batch");
  }

  get unbound(): Way {
    const batch = this.#batch;
    const send: Send = (_key, command, script, ...args) =>
      this.#send(batch, command === "EVAL", scriptNamed(String(script)), args);
    return { send, wait: (work) => work() };
  }

  within(leftMs: number): Way {
    const { send } = this.unbound;
    const endsAtMs = monotonicClock.nowMs() + leftMs;
    const wait: Way["wait"] = async (work) => {
      const ms = endsAtMs - monotonicClock.nowMs();
      if (ms <= 0) throw new LateError(DEADLINE_MS);
      return within(ms, work());
    };
    return { wait, send: (...command) => wait(() => send(...command)) };
  }

  async setup(): Promise<readonly SetupCheck[]> {
    return [];
  }

  readonly fail = (error: unknown): never => {
    throw error instanceof Answered ? error : redisError(error);
  };

  checkOpen(): void {
    if (this.#isClosed) throw new StoreError("closed", "the connection was closed", { transient: false });
  }

  end(): void {
    this.#isClosed = true;
  }

  close(): void {}

  async #send(batch: Batch | null, loads: boolean, name: ScriptName, args: Args): Promise<unknown> {
    // A cluster's client sends nothing again, but a script that does not change anything twice may come again.
    const isRepeatable = !loads && (name === "beat" || batch === null || batch.terms.receipt !== undefined);
    // A script is sent as soon as the renewal has ended that came before it. The node's process may be another one by then.
    const { beganMs, endedMs } = this.#renewed;
    const sinceMs = endedMs === this.#machine.world.nowMs ? beganMs : null;
    for (let times = 0; ; times++) {
      const server = this.#store.at(this.#shard);
      const { node } = server;
      const run = async () => {
        const { moving } = server;
        if (moving?.answers === true) throw new Error("TRYAGAIN Multiple keys request during rehashing of slot");
        if (moving !== null) await new Promise<void>((go) => moving.waiting.push(go));
        if (server.node !== node) throw new Moved();
        return this.#run(server, { batch, loads, name, args, sinceMs });
      };
      try {
        const answer = await this.#network.ask(this.#machine, node, run, isRepeatable);
        if (answer instanceof Answered) throw answer;
        return answer;
      } catch (error) {
        if (!(error instanceof Moved) || times === MOST_REDIRECTIONS) throw error;
      }
    }
  }

  /** On the node. */
  #run(server: StoreServer, { batch, loads, name, args, sinceMs }: Command): unknown {
    const { node } = server;
    node.refuse();
    const { scripts } = node.process;
    if (loads) {
      if (name === "apply" && sinceMs !== null && sinceMs <= node.process.sinceMs) this.#store.loadedBlindly(node);
      scripts.add(digestOf(name));
    } else if (!scripts.has(digestOf(name))) throw new Error("NOSCRIPT No matching script");
    if (name === "beat") return beatScript(server, args);
    if (batch === null) return [server.nowMs()];
    const answers = server.book(batch.requests, batch.terms, this.#machine.name);
    if (batch.terms.incarnation !== undefined) this.#store.decidedOn(this.#shard, this.#machine.name);
    return new Answered(answers);
  }
}
