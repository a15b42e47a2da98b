// The simulated network. It carries a request to another machine and the answer back; while something is wrong with it, it loses,
// delays and repeats them. What is lost is lost in silence, or its sender sees the connection end.

import type { Machine } from "./machine.ts";
import type { Random } from "./random.ts";

/** What the network does to the messages between some machines for a while. */
export interface NetworkRules {
  /** How often a request is lost on its way, 0 to 1. */
  readonly losesRequests: number;
  /** How often the answer is lost on its way back: the request was carried out. */
  readonly losesAnswers: number;
  /** How often the sender of a lost message sees its connection end; else it hears nothing. */
  readonly endsConnections: number;
  /** How often a request arrives a second time, where its sender says that a repeat does no harm. */
  readonly repeats: number;
  /** How much longer a message takes, at most, ms: so that messages overtake each other. */
  readonly slowMs: number;
}

export const GOOD: NetworkRules = { losesRequests: 0, losesAnswers: 0, endsConnections: 0, repeats: 0, slowMs: 0 };

/** The other end of a connection. */
export interface Host {
  readonly machine: Machine;
  readonly isUp: boolean;
}

/** What a sender learns whose connection has ended. */
export class ConnectionEnded extends Error {
  constructor(host: string) {
    super(`the connection to ${host} has ended`);
  }
}

interface Rule {
  readonly applies: (from: Machine, to: Machine) => boolean;
  readonly rules: NetworkRules;
}

/** A message may come so late at most after it was sent for the first time, ms. */
const REPEATED_AFTER_MS = 3_000;

export class Network {
  /** How long a message takes when nothing is wrong, ms. */
  readonly #takesMs: readonly [least: number, most: number];
  readonly #rules = new Set<Rule>();
  readonly #random: Random;

  constructor(random: Random, takesMs: readonly [least: number, most: number]) {
    this.#random = random;
    this.#takesMs = takesMs;
  }

  /** Makes the network bad between some machines. Returns a function that ends it. */
  spoil(applies: Rule["applies"], rules: NetworkRules): () => void {
    const rule = { applies, rules };
    this.#rules.add(rule);
    return () => this.#rules.delete(rule);
  }

  /**
   * Asks a host. The promise settles as a message to the machine that asks, or never.
   *
   * @param answer what the host does with the request; it may take a while
   */
  ask<Answer>(
    from: Machine,
    host: Host,
    answer: () => Answer | Promise<Answer>,
    isRepeatable: boolean,
  ): Promise<Answer> {
    // Its fate depends on when it is sent: leaving out another message does not change it.
    const random = this.#random.stream(`${from.name} ${host.machine.name} ${from.world.nowMs}`);
    return new Promise((resolve, reject) => {
      const rules = this.#rulesBetween(from, host.machine);
      const toSender = (ms: number, run: () => void) => void from.world.after(ms, from, "message", run);
      const end = () => toSender(this.#delay(random, rules), () => reject(new ConnectionEnded(host.machine.name)));
      const lose = () => {
        if (random.chance(rules.endsConnections)) end();
      };
      const arrive = async (isRepeat: boolean) => {
        if (!host.isUp) return isRepeat ? undefined : end();
        const give = await settled(answer);
        if (isRepeat) return;
        if (random.chance(rules.losesAnswers)) return lose();
        toSender(this.#delay(random, rules), () => give(resolve, reject));
      };
      const send = (ms: number, isRepeat: boolean) =>
        void from.world.after(ms, host.machine, "message", () => void arrive(isRepeat));
      if (random.chance(rules.losesRequests)) return lose();
      send(this.#delay(random, rules), false);
      if (isRepeatable && random.chance(rules.repeats)) send(random.next() * REPEATED_AFTER_MS, true);
    });
  }

  #delay(random: Random, { slowMs }: NetworkRules): number {
    const [least, most] = this.#takesMs;
    return least + random.next() * (most - least) + (slowMs === 0 ? 0 : random.next() * slowMs);
  }

  /** The worst of the rules that apply now. */
  #rulesBetween(from: Machine, to: Machine): NetworkRules {
    let worst = GOOD;
    for (const { applies, rules } of this.#rules) {
      if (applies(from, to)) worst = worst === GOOD ? rules : worseOf(worst, rules);
    }
    return worst;
  }
}

function worseOf(one: NetworkRules, other: NetworkRules): NetworkRules {
  const worse = (name: keyof NetworkRules) => Math.max(one[name], other[name]);
  return {
    losesRequests: worse("losesRequests"),
    losesAnswers: worse("losesAnswers"),
    endsConnections: worse("endsConnections"),
    repeats: worse("repeats"),
    slowMs: worse("slowMs"),
  };
}

/** What became of an answer: it is given to the sender later. */
async function settled<Answer>(answer: () => Answer | Promise<Answer>) {
  type Give = (resolve: (answer: Answer) => void, reject: (error: unknown) => void) => void;
  try {
    const found = await answer();
    const give: Give = (resolve) => resolve(found);
    return give;
  } catch (error) {
    const give: Give = (_, reject) => reject(error);
    return give;
  }
}
