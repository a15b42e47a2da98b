// Whether a million live sessions are as fast as a thousand: what live-redis, live-sqlite and live-postgres share.

import { encodeState, type Store } from "tollgate/store";
import { askAll, type Call, PER_SESSION, roomy, sessionName, WINDOW_SECONDS, zipfScheduleOf } from "./calls.ts";
import { number } from "./harness.ts";
import { type Contender, type Opened, race } from "./race.ts";
import { type Measured, speedNamed, speedTables } from "./section.ts";
import { allows, limiterOf } from "./tollgate.ts";

const FULL = { few: 1_000, many: 1_000_000, calls: 80_000, rounds: 4 };
const SHORT = { few: 100, many: 20_000, calls: 2_000, rounds: 1 };
const IN_FLIGHT = 512;
const TIMES_FEW = 1.5;
const [LIMIT = PER_SESSION] = roomy([PER_SESSION]);
/** So many of the sessions that were put there by hand are asked about, spread over all of them. */
const ASKED = 1_000;

const BUSIEST = sessionName(0);

/** What each session has spent already, and until when. */
export const SPENT = 7;
export const endOfWindowMs = () => Date.now() + WINDOW_SECONDS * 1_000;
export const SPENT_TEXT = encodeState({ kind: "counter", spent: SPENT, expiresAtMs: 0 });

/** The key of a session's bucket is this, the session's name, and this. */
export const KEY = { before: "rate:1:{", after: `}:${LIMIT.name}` } as const;

/** Places for so many sessions. */
export interface Home {
  /** A store on what is there, and how what it is made of is closed. */
  open(): Promise<{ readonly store: Store; close(): Promise<void> }>;
}

export const MEANING = `Each session has a live bucket with ${SPENT} calls in it before anything is measured, put there
in bulk in the store's own format, and ${number(ASKED)} of them are asked about to see that the limiter meets it. The
n-th session calls 1/n as often as the first (Zipf, exponent 1), and those that call most lie far from each other.
${IN_FLIGHT} calls are in flight and all pass; a limiter is made new for each round, with its default options, on what
is there. With more sessions fewer calls of a batch share a bucket, so that more is read and written: that is part of
what is measured.`;

/** @param filled makes a home in which so many sessions, named by `sessionName`, are live */
export async function measureLive(
  store: string,
  isShort: boolean,
  filled: (sessions: number) => Promise<Home>,
): Promise<Measured> {
  const { few, many, calls: count, rounds } = isShort ? SHORT : FULL;
  const group = `${store}, one limit`;
  const contenders: Contender[] = [];
  for (const sessions of [few, many]) {
    const home = await filled(sessions);
    await checkMet(home, sessions);
    const spent = { byBusiest: SPENT };
    contenders.push({
      group,
      name: nameOf(sessions),
      kind: "tollgate",
      calls: zipfScheduleOf(sessions, count),
      mustAdmit: (some) => some.length,
      open: (some) => openedOn(home, some, spent),
    });
  }
  const speeds = await race(contenders, [], rounds);
  const { ratio } = speedNamed(speeds, group, nameOf(many));
  return {
    work: `${number(count)} calls a round, ${IN_FLIGHT} in flight`,
    goals: [
      {
        what: `${group}: times as long with ${nameOf(many)}`,
        bound: "at most",
        wanted: TIMES_FEW,
        measured: 1 / ratio,
      },
    ],
    tables: speedTables(speeds).map(({ head, rows }) => ({
      head: head.map((each) => (each === "to Tollgate" ? `to ${nameOf(few)}` : each)),
      rows,
    })),
    panel: {
      title: "decisions/s, longer is better",
      bars: speeds.map(({ name, kind, median }) => ({ name, kind, value: median })),
    },
    rounds: { speeds },
  };
}

const nameOf = (sessions: number) => `${number(sessions)} live sessions`;

/** All calls pass; that they were counted is seen by the session that makes most of them. */
async function openedOn(home: Home, calls: readonly Call[], spent: { byBusiest: number }): Promise<Opened> {
  const { store, close } = await home.open();
  const limiter = limiterOf([LIMIT], store);
  return {
    run: () => askAll(calls, IN_FLIGHT, { decide: (call) => limiter.consume(call), allows }),
    async close() {
      const { verdicts } = await limiter.peek({ tool: "search", session: BUSIEST, user: "user-0" });
      await limiter.close();
      await close();
      const counted = LIMIT.quota - (verdicts[0]?.remaining ?? Number.NaN) - 1;
      spent.byBusiest += calls.filter(({ session }) => session === BUSIEST).length;
      if (counted !== spent.byBusiest)
        throw new Error(`counted ${counted} calls of ${BUSIEST}, must be ${spent.byBusiest}`);
    },
  };
}

/** Charges nothing. */
async function checkMet(home: Home, sessions: number): Promise<void> {
  const { store, close } = await home.open();
  const limiter = limiterOf([LIMIT], store);
  const asked = Math.min(ASKED, sessions);
  const answers = await Promise.all(
    Array.from({ length: asked }, (_, i) => {
      return limiter.peek({ tool: "search", session: sessionName(Math.floor((i * sessions) / asked)), user: "user-0" });
    }),
  );
  await limiter.close();
  await close();
  const met = answers.filter(({ verdicts }) => verdicts[0]?.remaining === LIMIT.quota - SPENT - 1).length;
  if (met !== asked) throw new Error(`${asked - met} of ${asked} sessions that were put there were not met`);
}
