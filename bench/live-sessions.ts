// Whether a million live sessions are as fast as a thousand, or as bare statements on as many rows: what live-redis,
// live-sqlite and live-postgres share.

import { encodeState, type Store } from "tollgate/store";
import { PER_SESSION, roomy, sessionName, WINDOW_SECONDS, zipfScheduleOf } from "./calls.ts";
import { number, progress, ratioOf } from "./harness.ts";
import { type Contender, type Opened, race, type Speed } from "./race.ts";
import { atMost, type Goal, type Section, speedNamed, speedTables } from "./section.ts";
import type { ServerName } from "./servers.ts";
import { limiterOf, tollgate } from "./tollgate.ts";

const FULL = { few: 1_000, many: 1_000_000, calls: 80_000, rounds: 4 };
const SHORT = { few: 100, many: 20_000, calls: 2_000, rounds: 1 };
const IN_FLIGHT = 512;
const TIMES_FEW = 1.3;
const TIMES_BARE = 1.5;
const BARE = "bare statements";
export const [LIMIT = PER_SESSION] = roomy([PER_SESSION]);
export const LIMITS = [LIMIT];
/** As many of the stored sessions, spread over all of them, are checked. */
const CHECKED = 1_000;
const BUSIEST = sessionName(0);

/** What each session has spent before. */
const SPENT = 7;
/** A bucket of a store, as it is stored. */
export const BUCKET = encodeState({ kind: "counter", spent: SPENT, expiresAtMs: 0 });
export const endOfWindowMs = () => Date.now() + WINDOW_SECONDS * 1_000;

/** The keys of the buckets of some sessions. */
export const keysOf = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => `rate:1:{${sessionName(first + i)}}:${LIMIT.name}`);

/** A store that holds a number of sessions. It can be opened more than once. */
export interface FilledStore {
  open(): Promise<{ readonly store: Store; close?(): Promise<void> }>;
}

/** Starts a contender on rows that were stored before. */
type Opening = () => Promise<Opened>;

interface LiveStore {
  readonly name: string;
  readonly needs?: readonly ServerName[];
  /** What the numbers of sessions share. */
  readonly note: string;
  /** Whether it is compared with itself on few sessions, and bare statements say why it takes longer. */
  readonly isToFew?: boolean;
  /** Starts what is needed. Resolves with functions that store so many live sessions. */
  start(stack: AsyncDisposableStack): Promise<{
    store(sessions: number): Promise<FilledStore>;
    /** Also for statements that only count, in equal transactions. */
    bare(sessions: number): Promise<Opening>;
  }>;
}

const sessionsText = (sessions: number) => `${number(sessions)} live sessions`;

export function liveSection({ name, needs, note, isToFew = false, start }: LiveStore): Section {
  const group = `${name}, one limit`;
  return {
    title: `${name}, a million live sessions`,
    ...(needs !== undefined && { needs }),
    meaning: `Before the race each session gets a live bucket with ${SPENT} calls, stored in bulk in the store's own format;
${number(CHECKED)} of them are read through the limiter as a check. The n-th session calls 1/n as often as the first
(Zipf, exponent 1), and the sessions that call most are not neighbours in the store. ${IN_FLIGHT} calls are in flight and all
pass. Each round has a new limiter with its default options on the same store. With more sessions fewer calls of a batch
share a bucket, so more is read and written: that is part of the result. ${note}`,

    async measure(isShort) {
      const { few, many, calls, rounds } = isShort ? SHORT : FULL;
      await using stack = new AsyncDisposableStack();
      const fills = await start(stack);
      const openings: [name: string, sessions: number, open: Opening][] = [];
      for (const sessions of [few, many]) {
        progress(`filling ${name} with ${sessions} sessions`);
        const filled = await fills.store(sessions);
        await check(filled, sessions);
        openings.push([sessionsText(sessions), sessions, () => openedOn(filled)]);
        openings.push([bareText(sessions), sessions, await fills.bare(sessions)]);
      }
      const about = { group, limits: LIMITS, rule: "all or none", inFlight: IN_FLIGHT } as const;
      const contenders = openings.map(([name, sessions, open]): Contender => {
        return { ...about, name, calls: zipfScheduleOf(sessions, calls), open };
      });
      const speeds = await race(contenders, [], rounds);
      return {
        work: `${number(calls)} calls a round, ${IN_FLIGHT} in flight`,
        goals: [isToFew ? goalToFew(speeds, group, few, many) : goalToBare(speeds, group, many)],
        tables: speedTables(speeds, sessionsText(few)),
      };
    },
  };
}

const bareText = (sessions: number) => `${BARE}, ${sessionsText(sessions)}`;

function goalToFew(speeds: readonly Speed[], group: string, few: number, many: number): Goal {
  const times = 1 / speedNamed(speeds, group, sessionsText(many)).ratio;
  const [bareFew, bareMany] = [few, many].map((sessions) => speedNamed(speeds, group, bareText(sessions)).rounds);
  const timesBare = ratioOf(bareFew ?? [], bareMany ?? []).toFixed(2);
  const reason = `Bare statements on as many keys take ${timesBare} times as long: fewer calls of a batch share a key, and most keys are in no cache of the processor. Decision 72 has the parts.`;
  return atMost(`${group}: times as long with ${sessionsText(many)}`, TIMES_FEW, times, reason);
}

function goalToBare(speeds: readonly Speed[], group: string, many: number): Goal {
  const ours = speedNamed(speeds, group, sessionsText(many));
  const bare = speedNamed(speeds, group, bareText(many));
  const what = `${group}, ${sessionsText(many)}: times as long as ${BARE} on as many rows`;
  return atMost(what, TIMES_BARE, ratioOf(bare.rounds, ours.rounds));
}

/** Whether the calls were counted is checked with the session that makes most of them. */
async function openedOn(filled: FilledStore): Promise<Opened> {
  const { store, close } = await filled.open();
  const { limiter, ...ours } = tollgate(LIMITS, store);
  let byBusiest = await spentBy(limiter, BUSIEST);
  return {
    ...ours,
    decide(call) {
      if (call.session === BUSIEST) byBusiest++;
      return limiter.consume(call);
    },
    async close() {
      const counted = await spentBy(limiter, BUSIEST);
      await limiter.close();
      await close?.();
      if (counted !== byBusiest) throw new Error(`counted ${counted} calls of ${BUSIEST}, must be ${byBusiest}`);
    },
  };
}

async function check(filled: FilledStore, sessions: number): Promise<void> {
  const { store, close } = await filled.open();
  const limiter = limiterOf(LIMITS, store);
  const count = Math.min(CHECKED, sessions);
  const some = Array.from({ length: count }, (_, i) => sessionName(Math.floor((i * sessions) / count)));
  const spent = await Promise.all(some.map((session) => spentBy(limiter, session)));
  await limiter.close();
  await close?.();
  const missing = spent.filter((each) => each !== SPENT).length;
  if (missing > 0) throw new Error(`${missing} of ${count} stored sessions were not found`);
}

/** Charges nothing. */
async function spentBy(limiter: ReturnType<typeof limiterOf>, session: string): Promise<number> {
  const { verdicts } = await limiter.peek({ tool: "search", session, user: "user-0" });
  return LIMIT.quota - (verdicts[0]?.remaining ?? Number.NaN) - 1;
}
