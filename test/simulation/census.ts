// How many instances each process was told that there are.

import type { Beat } from "../../src/store/api.ts";

/** An answer that takes longer may not be learned from any more, ms. */
const LEARNED_WITHIN_MS = 9_000;

interface Count {
  readonly atMs: number;
  readonly instances: number;
}

export class Census {
  /** By life, each higher than the one before. */
  readonly #counts = new Map<string, Count[]>();

  /** A life got an answer to its heartbeat. */
  learn(on: string, sentMs: number, atMs: number, { instances }: Beat): void {
    if (atMs - sentMs > LEARNED_WITHIN_MS) return;
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
