// SHA-256 as FIPS 180-4 has it. The kernel needs it at once, and the one that all runtimes have (Web Crypto) answers later. A library's
// is four times as large, because it has other hashes, and streams.

/** The constants: fractions of the roots of the first primes, 32 bits each. */
function fractionsOf(root: (prime: number) => number, count: number): Int32Array {
  const fractions = new Int32Array(count);
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) {
    if (primes.some((prime) => n % prime === 0)) continue;
    fractions[primes.length] = (root(n) % 1) * 2 ** 32;
    primes.push(n);
  }
  return fractions;
}

let constants: { readonly start: Int32Array; readonly rounds: Int32Array } | undefined;

/** The words of a message's hash, eight of 32 bits. */
export function sha256(message: Uint8Array): Int32Array {
  constants ??= { start: fractionsOf(Math.sqrt, 8), rounds: fractionsOf(Math.cbrt, 64) };
  const hash = constants.start.slice();
  const schedule = new Int32Array(64);
  const { length } = message;
  // A 1 bit ends the message; its length in bits ends the last block.
  const blocks = new Uint8Array(64 * Math.ceil((length + 9) / 64));
  blocks.set(message);
  blocks[length] = 0x80;
  const view = new DataView(blocks.buffer);
  view.setUint32(blocks.length - 8, length / 2 ** 29);
  view.setUint32(blocks.length - 4, length << 3);
  for (let offset = 0; offset < blocks.length; offset += 64) {
    for (let i = 0; i < 16; i++) schedule[i] = view.getInt32(offset + 4 * i);
    compress(hash, schedule, constants.rounds);
  }
  return hash;
}

/** Takes a block into a hash. The first 16 words of the schedule are the block. */
function compress(hash: Int32Array, schedule: Int32Array, rounds: Int32Array): void {
  for (let i = 16; i < 64; i++) {
    const early = schedule[i - 15] as number;
    const late = schedule[i - 2] as number;
    const mixedEarly = rotated(early, 7) ^ rotated(early, 18) ^ (early >>> 3);
    const mixedLate = rotated(late, 17) ^ rotated(late, 19) ^ (late >>> 10);
    schedule[i] = (schedule[i - 16] as number) + mixedEarly + (schedule[i - 7] as number) + mixedLate;
  }
  let a = hash[0] as number;
  let b = hash[1] as number;
  let c = hash[2] as number;
  let d = hash[3] as number;
  let e = hash[4] as number;
  let f = hash[5] as number;
  let g = hash[6] as number;
  let h = hash[7] as number;
  for (let i = 0; i < 64; i++) {
    const ofE = (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g));
    const ofA = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    const sum = (h + ofE + (rounds[i] as number) + (schedule[i] as number)) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + sum) | 0;
    d = c;
    c = b;
    b = a;
    a = (sum + ofA) | 0;
  }
  // Words of typed arrays wrap around.
  hash[0] = (hash[0] as number) + a;
  hash[1] = (hash[1] as number) + b;
  hash[2] = (hash[2] as number) + c;
  hash[3] = (hash[3] as number) + d;
  hash[4] = (hash[4] as number) + e;
  hash[5] = (hash[5] as number) + f;
  hash[6] = (hash[6] as number) + g;
  hash[7] = (hash[7] as number) + h;
}

function rotated(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}
