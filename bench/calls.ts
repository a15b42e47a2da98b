// What is asked: calls in a seeded order, their limits, and how many of them each rule must admit. This file knows no
// contender.

/** A call of a tool, as all contenders get it. */
export type Call = { readonly tool: string; readonly session: string; readonly user: string };

/** One limit, with what any contender needs of it. */
export interface Limit {
  readonly name: string;
  readonly per: readonly (keyof Call)[];
  readonly quota: number;
  readonly key: (call: Call) => string;
}

// Longer than any run, so that only the schedule decides how many calls pass. A window begins with a bucket's first call,
// as those of the peers do.
export const WINDOW_SECONDS = 3_600;
export const PEER = "rate-limiter-flexible";

/** Tollgate, another limiter, or a floor: code that does only what any limiter must do. */
export type Kind = "tollgate" | "peer" | "floor";

/** What a contender is, by its name. */
export function kindOf(name: string): Kind {
  if (name.startsWith(PEER) || name.startsWith("express-rate-limit")) return "peer";
  return /^(INCR|SET|PING|bare|nothing|redis-benchmark)/.test(name) ? "floor" : "tollgate";
}

const TOOLS = ["search", "fetch", "write_file", "send_email"] as const;

// The mean session makes 8 calls, so most calls pass and each limit denies some.
export const PER_SESSION: Limit = { name: "per-session", per: ["session"], quota: 10, key: (call) => call.session };
export const ONE: readonly Limit[] = [PER_SESSION];
export const THREE: readonly Limit[] = [
  { name: "tool-per-session", per: ["session", "tool"], quota: 4, key: (call) => `${call.session}:${call.tool}` },
  PER_SESSION,
  { name: "per-user", per: ["user"], quota: 85, key: (call) => call.user },
];

/** The same limits, but nothing is denied: for contenders whose calls have no order. */
export const roomy = (limits: readonly Limit[]) => limits.map((limit) => ({ ...limit, quota: 1_000_000_000 }));

export const sessionName = (session: number) => `session-${String(session).padStart(6, "0")}`;

/** Calls of equally likely sessions. */
export function scheduleOf(sessions: number, count: number, seed = 1): Call[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => callOf(Math.floor(random() * sessions), sessions, random));
}

/** Calls of sessions of which the n-th is 1/n as likely as the first (Zipf's law). */
export function zipfScheduleOf(sessions: number, count: number, seed = 1): Call[] {
  const random = seededRandom(seed);
  const upTo = new Float64Array(sessions);
  for (let rank = 0, sum = 0; rank < sessions; rank++) upTo[rank] = sum += 1 / (rank + 1);
  const total = upTo[sessions - 1] ?? Number.NaN;
  return Array.from({ length: count }, () => {
    const rank = firstAbove(upTo, random() * total);
    return callOf((rank * SCATTER) % sessions, sessions, random);
  });
}

// A prime that divides no number of sessions: those that call most are not neighbours in a sorted store.
const SCATTER = 7_919;

function firstAbove(sorted: Float64Array, value: number): number {
  let [low, high] = [0, sorted.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? Number.NaN) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

function callOf(session: number, sessions: number, random: () => number): Call {
  const tool = TOOLS[Math.floor(random() * TOOLS.length)] ?? TOOLS[0];
  return { tool, session: sessionName(session), user: `user-${session % Math.ceil(sessions / 10)}` };
}

/** The same call in new strings, flat and not yet hashed, like those of a request. */
export function arrivingAgain({ tool, session, user }: Call): Call {
  return { tool, session: Buffer.from(session).toString(), user: Buffer.from(user).toString() };
}

/** Which limits a denied call leaves charged. `all or none` is what an atomic decision does: none. */
export type Rule = "all or none" | "one after the other" | "all at once";

/** How many of these calls a rule admits, if each bucket has spent `spentBefore` units before. */
export function mustAdmit(calls: readonly Call[], limits: readonly Limit[], rule: Rule, spentBefore = 0): number {
  const spent = new Map<string, number>();
  const spentOf = (limit: Limit, call: Call) => spent.get(`${limit.name} ${limit.key(call)}`) ?? spentBefore;
  let admitted = 0;
  for (const call of calls) {
    const denying = limits.findIndex((limit) => spentOf(limit, call) >= limit.quota);
    if (denying === -1) admitted++;
    const untilDenied = rule === "all or none" ? [] : limits.slice(0, denying);
    const charged = denying === -1 || rule === "all at once" ? limits : untilDenied;
    for (const limit of charged) spent.set(`${limit.name} ${limit.key(call)}`, spentOf(limit, call) + 1);
  }
  return admitted;
}

/** A way to decide calls. */
export interface Decider<Answer> {
  decide(call: Call): Promise<Answer>;
  allows(answer: Answer): boolean;
  /** Whether what it throws is its way to deny a call. */
  isDenial?(error: unknown): boolean;
}

/** Decides all calls in their order, with `inFlight` at a time. Resolves with the number of admitted ones. */
export async function askAll<Answer>(calls: readonly Call[], inFlight: number, decider: Decider<Answer>) {
  const { decide, allows, isDenial } = decider;
  let [next, admitted] = [0, 0];
  const lane = async () => {
    for (let call = calls[next++]; call !== undefined; call = calls[next++]) {
      try {
        if (allows(await decide(call))) admitted++;
      } catch (error) {
        if (isDenial?.(error) !== true) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return admitted;
}

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
