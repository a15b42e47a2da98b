// In memory: beside the bare form that answers as much, and beside the peers' memory limiters.

import { busiestOf, type Call, PER_SESSION, scheduleOf, sessionName, THREE, zipfScheduleOf } from "../calls.ts";
import { number } from "../harness.ts";
import { contendersOnOne, contendersOnSeveral } from "../memory-contenders.ts";
import { race, type Speed } from "../race.ts";
import { type Goal, type Section, speedBars, speedNamed, speedTables } from "../section.ts";

const FULL = { few: 1_000, many: 1_000_000, calls: 80_000, rounds: 5 };
const SHORT = { few: 100, many: 10_000, calls: 4_000, rounds: 1 };
const SEVERAL = { calls: 80_000, sessions: 10_000 };
const SHORT_SEVERAL = { calls: 4_000, sessions: 500 };
const TIMES_BARE = 2;
const BARE_FORM = "bare form, with the whole decision";

export const section: Section = {
  title: "Memory",
  meaning: `One call after the other, each awaited. The n-th session calls 1/n as often as the first (Zipf, exponent 1),
and all of them have called once before a round begins, so that a million sessions are a million live buckets. The quota
is nine tenths of what the busiest session asks for: nearly all calls pass, a few are denied, and some that pass come
with a notice.

The bare form is a function that joins limit and session into a key, looks a Map up, counts and returns an object of a
decision's whole shape; its limit is in its code. It has no policy, no checks, no sweeping of the expired, no other
algorithm and no store that could be another. The bare Map answers a yes or no alone. express-rate-limit's MemoryStore
counts hits; what compares them with a limit is its middleware. Neither joins a key: they take the session's own string.

On three limits rate-limiter-flexible has no atomic decision: a call that one limit denies stays charged to the limits
asked before it ("in turn"), or with it ("Promise.all").`,

  async measure(isShort) {
    const { few, many, calls, rounds } = isShort ? SHORT : FULL;
    const several = isShort ? SHORT_SEVERAL : SEVERAL;
    const groups = [few, many].map((sessions) => {
      const schedule = zipfScheduleOf(sessions, calls);
      return { name: `memory, ${number(sessions)} sessions`, sessions, schedule };
    });
    const speeds: Speed[] = [];
    for (const { name, sessions, schedule } of groups) {
      const live = Array.from({ length: sessions }, (_, i) => Buffer.from(sessionName(i)).toString());
      speeds.push(...(await race(contendersOnOne(name, limitFor(schedule), live), schedule, rounds)));
    }
    const three = contendersOnSeveral(`memory, three limits, ${number(several.sessions)} sessions`, THREE);
    speeds.push(...(await race(three, scheduleOf(several.sessions, several.calls), rounds)));
    return {
      work: `${number(calls)} calls a round, one limit; ${number(several.calls)} over three limits`,
      goals: groups.map(({ name }): Goal => {
        const measured = speedNamed(speeds, name, BARE_FORM).ratio;
        return { what: `${name}: times as long as the bare form`, bound: "at most", wanted: TIMES_BARE, measured };
      }),
      tables: speedTables(speeds),
      panel: { title: "decisions/s, longer is better", bars: speedBars(speeds) },
      rounds: { speeds },
    };
  },
};

const limitFor = (calls: readonly Call[]) => ({ ...PER_SESSION, quota: Math.floor(busiestOf(calls).calls * 0.9) });
