// In memory: beside the bare form, which answers as much, and beside the memory limiters of peers.

import { type Call, PEER, PER_SESSION, scheduleOf, sessionName, THREE, zipfScheduleOf } from "../calls.ts";
import { number } from "../harness.ts";
import { contendersOnOne, contendersOnSeveral } from "../memory-contenders.ts";
import { race, type Speed } from "../race.ts";
import { atLeast, atMost, bestPeer, type Goal, headline, type Section, speedNamed, speedTables } from "../section.ts";

const FULL = { few: 1_000, many: 1_000_000, calls: 80_000, rounds: 5, several: { calls: 80_000, sessions: 10_000 } };
const SHORT = { few: 100, many: 10_000, calls: 4_000, rounds: 1, several: { calls: 4_000, sessions: 500 } };
const TIMES_BARE = 2;
/** How many times as fast as the peer: with one limit, and with three. */
const TIMES_PEER = { one: 1, three: 1.5 };
const BARE_FORM = "bare form, with the whole decision";

export const section: Section = {
  title: "Memory",
  meaning: `One call after the other, each awaited. The n-th session calls 1/n as often as the first (Zipf, exponent 1).
All sessions have called once before a round begins, so a million sessions are a million live buckets. The quota is nine
tenths of the calls of the busiest session: nearly all calls pass, a few are denied, and some pass with a notice.

The bare form joins limit and session into a key, looks it up in a Map, counts, and returns an object with all fields of a
decision. Its limit is in its code: it has no policy, no checks, no removal of expired buckets, no other algorithm and no
other store. The bare Map only answers yes or no. The MemoryStore of express-rate-limit counts hits; its middleware
compares them with a limit. Neither joins a key: they take the session's own string.

On three limits rate-limiter-flexible has no atomic decision: a call that one limit denies stays charged to the limits
asked before it ("in turn"), or with it ("Promise.all").`,

  async measure(isShort) {
    const { few, many, calls, rounds, several } = isShort ? SHORT : FULL;
    const groups = [few, many].map((sessions) => {
      return { name: `memory, ${number(sessions)} sessions`, sessions, schedule: zipfScheduleOf(sessions, calls) };
    });
    const speeds: Speed[] = [];
    for (const { name, sessions, schedule } of groups) {
      const live = Array.from({ length: sessions }, (_, i) => Buffer.from(sessionName(i)).toString());
      const limit = { ...PER_SESSION, quota: Math.floor(mostCalls(schedule) * 0.9) };
      speeds.push(...(await race(contendersOnOne(name, limit, live), schedule, rounds)));
    }
    const onThree = `memory, three limits, ${number(several.sessions)} sessions`;
    const three = contendersOnSeveral(onThree, THREE);
    speeds.push(...(await race(three, scheduleOf(several.sessions, several.calls), rounds)));
    const reason = "The bare form has its only limit in its code and checks nothing.";
    return {
      tables: speedTables(speeds),
      work: `${number(calls)} calls a round, one limit; ${number(several.calls)} over three limits`,
      goals: [
        ...groups.map(({ name }) => {
          const { ratio } = speedNamed(speeds, name, BARE_FORM);
          return atMost(`${name}: times as long as the bare form`, TIMES_BARE, ratio, reason);
        }),
        timesPeer(speeds, groups[0]?.name ?? "", TIMES_PEER.one),
        timesPeer(speeds, onThree, TIMES_PEER.three),
      ],
      headlines: [...groups.map(({ name }) => name), onThree].map((group) => {
        return headline(speeds, group, bestPeer(speeds, group));
      }),
    };
  },
};

/** The goal beside rate-limiter-flexible alone, in the fastest way to use it. */
function timesPeer(speeds: readonly Speed[], group: string, wanted: number): Goal {
  const peer = bestPeer(
    speeds.filter(({ name }) => name.startsWith(PEER)),
    group,
  );
  const reason = "The peer counts, and a decision has a policy, checks and verdicts: decision 75 has the parts.";
  return atLeast(`${group}: times as fast as ${peer.name}`, wanted, 1 / peer.ratio, reason);
}

/** The calls of the session that makes most of them. */
function mostCalls(calls: readonly Call[]): number {
  const bySession = Map.groupBy(calls, ({ session }) => session);
  return Math.max(...[...bySession.values()].map(({ length }) => length));
}
