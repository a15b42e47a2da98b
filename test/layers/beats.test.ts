// How often a limiter asks its store without a call: when all is well, and while the store is overloaded.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter, type LimiterEvent } from "tollgate";
import type { Member, StepEvent, Store } from "tollgate/store";
import { networkLayers } from "../../src/layers/network.ts";
import { RemoteStore } from "./remote.ts";

const DEADLINE_MS = 20;
const call = { tool: "search", session: "s1" };

/** A limiter on a store that may answer beats late, or count other instances, and notes what it is asked. */
function observed(batching: Store["batching"] = { size: 64, underWay: 4 }, deadlineMs = DEADLINE_MS) {
  const remote = new RemoteStore({ nowMs: () => Date.now() });
  const beats: (Pick<Member, "livesMs"> & { readonly atMs: number })[] = [];
  const raised: string[] = [];
  const answers = { lateMs: 0, instances: 1 };
  const events: LimiterEvent[] = [];
  const limiter = createLimiter({
    policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 10 }] },
    store: {
      layers: networkLayers,
      batching,
      apply: remote.apply.bind(remote),
      async book(requests, terms) {
        const isRaise = ({ type }: StepEvent) => type === "raise";
        raised.push(...requests.flatMap(({ steps }) => steps.filter(({ event }) => isRaise(event)).map(bucketIn)));
        return remote.book(requests, terms);
      },
      async beat(member) {
        beats.push({ livesMs: member.livesMs, atMs: performance.now() });
        const beat = await remote.beat(member);
        if (answers.lateMs > 0) await sleep(answers.lateMs);
        return { ...beat, instances: answers.instances };
      },
      async close() {},
    },
    failover: { deadlineMs },
    onEvent: (event) => events.push(event),
  });
  const has = (type: LimiterEvent["type"]) => events.some((event) => event.type === type);
  return { remote, beats, raised, answers, limiter, has };
}

const bucketIn = ({ bucket }: { readonly bucket: string }) => bucket;

/** Fails when it does not come true within 20 s. */
async function until(isTrue: () => boolean): Promise<void> {
  for (let waitedMs = 0; !isTrue(); waitedMs += 10) {
    assert.ok(waitedMs < 20_000, "it did not come true");
    await sleep(10);
  }
}

describe("beats", () => {
  it("are rarer where there are more instances, and live for longer", async () => {
    // No answer is late, however busy the machine is: a late one would be asked for again.
    const { beats, answers, limiter } = observed(undefined, 10_000);
    answers.instances = 200;
    await limiter.consume(call);
    await until(() => beats.length === 2);
    assert.deepEqual(
      beats.map(({ livesMs }) => livesMs),
      [10_000, 20_000],
    );
    const [first, second] = beats;
    assert.ok((second?.atMs ?? 0) - (first?.atMs ?? 0) > 1_500);
    await limiter.close();
  });
});

describe("a first beat whose answer is read late", () => {
  it("is followed by another one, because batches need the store's time", async () => {
    const { beats, answers, limiter } = observed(undefined, 2_000);
    answers.lateMs = 1_500;
    const deciding = limiter.consume(call);
    await until(() => beats.length === 1);
    answers.lateMs = 0;
    assert.equal((await deciding).degraded, null);
    assert.equal(beats.length, 2);
    await limiter.close();
  });
});

describe("a store that is overloaded", () => {
  it("is probed ever more rarely, also when it answers late, and is found when it answers in time", async () => {
    const { beats, answers, limiter, has } = observed();
    // Pauses up to one second.
    answers.instances = 200;
    await limiter.consume(call);
    answers.lateMs = 3 * DEADLINE_MS;
    await until(() => has("store.unreachable"));
    const before = beats.length;
    await sleep(4_000);
    const probes = beats.slice(before);
    assert.ok(probes.length >= 2 && probes.length <= 14, `${probes.length} probes in 4 s`);
    answers.lateMs = 0;
    await until(() => has("store.recovered"));
    // One call may be late by itself on a busy machine.
    for (let tries = 0; (await limiter.consume(call)).degraded !== null; tries++) {
      assert.ok(tries < 100, "the store is not asked again");
      await sleep(50);
    }
    await limiter.close();
  });

  it("gives the number of instances in a late answer, and gets longer pauses for it", async () => {
    const { beats, answers, limiter, has } = observed();
    await limiter.consume(call);
    Object.assign(answers, { lateMs: 3 * DEADLINE_MS, instances: 5_000 });
    await until(() => has("store.unreachable"));
    await until(() => has("failover.no_share"));
    await sleep(300);
    const before = beats.length;
    await sleep(3_000);
    assert.ok(beats.length - before <= 4, `${beats.length - before} probes in 3 s`);
    await limiter.close({ withinMs: 0 });
  });

  it("gets back lost units where an earlier raise stopped, and none twice", async () => {
    const { remote, raised, limiter, has } = observed({ size: 1, underWay: 1 }, 10_000);
    const sessions = ["a", "b", "c"];
    for (const session of sessions) await limiter.consume({ ...call, session });
    remote.flush();
    // The call is refused, the first bucket is raised, the second one is not.
    remote.faults.push("answer", "answer", "lose-request");
    await limiter.consume({ ...call, session: "d" });
    await until(() => has("store.recovered"));
    const times = sessions.map((session) => raised.filter((bucket) => bucket.includes(`{${session}}`)).length);
    assert.deepEqual(times.toSorted(), [1, 1, 2], raised.join());
    for (const session of sessions) assert.equal((await limiter.usage({ session }))[0]?.used, 1);
    await limiter.close();
  });
});
