// Random numbers and ids. No other file asks the runtime for them, so that a simulator can decide what they are.

/** Where they come from. */
export interface Chance {
  /** From 0 to below 1. */
  random(): number;
  /** A UUID that nothing else has. */
  randomId(): string;
}

const runtime: Chance = { random: () => Math.random(), randomId: () => crypto.randomUUID() };

let chance = runtime;

/** Draws from elsewhere from now on; `null`: from the runtime again. For simulators. */
export function drawFrom(other: Chance | null): void {
  chance = other ?? runtime;
}

/** From 0 to below 1: for pauses, never for secrets. */
export function random(): number {
  return chance.random();
}

export function randomId(): string {
  return chance.randomId();
}
