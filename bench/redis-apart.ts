// Contenders on Redis that have a process each.

import type { Limit } from "./calls.ts";
import { type Children, startChildren } from "./children.ts";
import type { Schedule, Timer } from "./race.ts";
import type { ClientName } from "./redis-contenders.ts";
import type { RedisRound } from "./redis-process.ts";

const PROGRAM = new URL("redis-process.ts", import.meta.url);

/** Starts a process for each contender in its first round. They end when this is disposed of. */
export class RedisApart implements Disposable {
  readonly #port: number;
  readonly #processes = new Map<string, Promise<Children<RedisRound, number>>>();
  readonly #started = new DisposableStack();

  constructor(port: number) {
    this.#port = port;
  }

  /** Times rounds with these calls. */
  timer(client: ClientName, { sessions, calls }: Schedule): Timer {
    return async ({ name, limits, inFlight }, used) => {
      const child = await this.#processOf(`${client} ${name}`);
      const round = { port: this.#port, client, contender: name, limits: limits.map(bare), inFlight };
      const [seconds = Number.NaN] = await child.ask([{ ...round, sessions, calls, used: used.length }]);
      return seconds;
    };
  }

  #processOf(name: string): Promise<Children<RedisRound, number>> {
    let found = this.#processes.get(name);
    if (found === undefined) {
      found = startChildren<RedisRound, number>(PROGRAM).then((child) => this.#started.use(child));
      this.#processes.set(name, found);
    }
    return found;
  }

  [Symbol.dispose](): void {
    this.#started.dispose();
  }
}

const bare = ({ name, quota }: Limit) => ({ name, quota });
