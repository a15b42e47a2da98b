// Random numbers from a text. Each part of a run draws from a stream of its own, so that removing one part does not change what
// the others draw. It uses whole numbers alone: every version of Node draws the same.

/** Three hashes of a stream's name. */
type Seed = readonly [number, number, number];

const STARTS: Seed = [0x9e3779b9, 0x85ebca6b, 0xc2b2ae35];

/** A stream of random numbers. */
export class Random {
  readonly #seed: Seed;
  #a: number;
  #b: number;
  #c: number;
  #count = 1;

  constructor(seed: string | Seed) {
    this.#seed = typeof seed === "string" ? hashed(seed, STARTS) : seed;
    const [a, b, c] = this.#seed;
    this.#a = mixed(a);
    this.#b = mixed(b);
    this.#c = mixed(c);
    for (let i = 0; i < 12; i++) this.#draw();
  }

  /** A stream that depends on this one's seed and on the name alone. */
  stream(name: string): Random {
    return new Random(hashed(`/${name}`, this.#seed));
  }

  /** From 0 to below 1, in steps of 2^-32. */
  next(): number {
    return this.#draw() / 2 ** 32;
  }

  /** A whole number from `least` to `most`, both included. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<Value>(values: readonly [Value, ...Value[]] | readonly Value[]): Value {
    return values[Math.floor(this.next() * values.length)] as Value;
  }

  /** One of the names, each as often as its weight says. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const entries = Object.entries(weights) as [Name, number][];
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      left -= weight;
      if (left < 0) return name;
    }
    return (entries.at(-1) as [Name, number])[0];
  }

  /** A small fast counter (sfc32) of 32 bits. */
  #draw(): number {
    const sum = (this.#a + this.#b + this.#count++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }
}

/** FNV-1a over a text, from three starts at once. A longer text goes on from here. */
function hashed(text: string, [startA, startB, startC]: Seed): Seed {
  let a = startA;
  let b = startB;
  let c = startC;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 16777619);
    b = Math.imul(b ^ code, 16777619);
    c = Math.imul(c ^ code, 16777619);
  }
  return [a, b, c];
}

function mixed(hash: number): number {
  const value = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return value ^ (value >>> 13);
}
