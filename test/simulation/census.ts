// How many instances each process was told that there are.

import type { Beat } from "../../src/store/api.ts";

interface Count {
  readonly atMs: number;
  readonly instances: number;
}

export class Census {
  /** By life, each higher than the one before. */
  readonly #counts = new Map<string, Count[]>();
  /** Heartbeats that are under way. */
  readonly #asked = new Map<string, number>();

  async whileAsked(on: string, beat: Promise<Beat>): Promise<Beat> {
    this.#asked.set(on, this.asked(on) + 1);
    try {
      return await beat;
    } finally {
      this.#asked.set(on, this.asked(on) - 1);
    }
  }

  /** How many heartbeats of a life are under way: for each the simulator has a timer. */
  asked(on: string): number {
    return this.#asked.get(on) ?? 0;
  }

  /** A life has learned from an answer to its heartbeat. */
  learn(on: string, atMs: number, { instances }: Beat): void {
    const counts = this.#counts.get(on) ?? [];
    this.#counts.set(on, counts);
    if (instances > (counts.at(-1)?.instances ?? 0)) counts.push({ atMs, instances });
  }

  /** How many instances a life knew of at a time; `null`: it had no answer. */
  knownBy(on: string, atMs: number): number | null {
    return this.#counts.get(on)?.findLast((count) => count.atMs <= atMs)?.instances ?? null;
  }

  /** The numbers that a life has learned after a time, until another. */
  learnedBy(on: string, afterMs: number, untilMs: number): number[] {
    const counts = this.#counts.get(on) ?? [];
    return counts.filter(({ atMs }) => afterMs < atMs && atMs <= untilMs).map(({ instances }) => instances);
  }

  /** The first number that a life has learned until a time. */
  firstKnownBy(on: string, atMs: number): number | null {
    const [first] = this.#counts.get(on) ?? [];
    return first !== undefined && first.atMs <= atMs ? first.instances : null;
  }
}
