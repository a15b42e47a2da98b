// What a client has still to tell: in its order, once, and not when that may be twice.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { StoreError } from "tollgate";
import { fakeClock } from "tollgate/testing";
import { compiledPolicy } from "../../src/kernel/policy/parse.ts";
import { LocalAway } from "../../src/client/local-away.ts";
import { type Booking, Bookings, MAX_BOOKINGS } from "../../src/client/bookings.ts";
import type { ClientContext } from "../../src/client/context.ts";
import { decideRemotely } from "../../src/client/decide.ts";
import { keyedCall } from "../../src/client/keyed-call.ts";
import { holdRemotely } from "../../src/client/reserve.ts";
import type { BatchItem, Wire } from "../../src/client/wire.ts";
import type { Call } from "../../src/kernel/call.ts";

/** Names of their own tell the items apart. */
const item = (op: string) => ({ op, body: {}, isRepeatable: true }) as unknown as BatchItem;
const booking = (op: string): Booking => ({ item: () => item(op) });

/** A service that fails for some, and notes what it is told. */
function service(failing: ReadonlySet<string> = new Set()) {
  const told: string[] = [];
  return {
    told,
    failing: new Set(failing),
    async ask({ op }: { readonly op: string }) {
      if (this.failing.has(op)) throw new StoreError("unavailable", "away", { transient: true });
      if (op === "wrong") throw new TypeError("misuse");
      told.push(op);
      return op;
    },
  };
}

const isOverloaded = (error: unknown) => StoreError.isInstance(error) && error.code === "overloaded";

describe("bookings", () => {
  it("are kept while the service does not answer, and sent in their order", async () => {
    const bookings = new Bookings();
    const wire = service(new Set(["b"]));
    for (const op of ["a", "b", "wrong", "c"]) bookings.add(booking(op), false);
    await assert.rejects(bookings.send(wire), StoreError);
    assert.deepEqual([wire.told, bookings.size, bookings.takeCounts()], [["a", "c"], 1, { booked: 2, dropped: 1 }]);
    bookings.add(booking("d"), false);
    wire.failing.clear();
    await bookings.send(wire);
    assert.deepEqual([wire.told, bookings.size], [["a", "c", "b", "d"], 0]);
    assert.deepEqual(bookings.takeCounts(), { booked: 2, dropped: 0 });
  });

  it("are sent by one sender at a time: a second one waits for the answer of the first", async () => {
    const bookings = new Bookings();
    const reply = Promise.withResolvers<string>();
    const wire = service();
    const slow = { ask: () => reply.promise };
    let isHeld = false;
    const answered = () => {
      isHeld = true;
      return null;
    };
    bookings.add({ item: () => item("reserve"), answered }, false);
    const first = bookings.send(slow);
    bookings.add({ item: () => item("settle"), isReady: () => isHeld }, false);
    let isSent = false;
    const second = bookings.send(wire).then(() => {
      isSent = true;
    });
    await new Promise(setImmediate);
    assert.equal(isSent, false);
    reply.resolve("h1");
    await Promise.all([first, second]);
    assert.deepEqual([wire.told, bookings.size], [["settle"], 0]);
  });

  it("wait for the answer that resolves them, with everything after them", async () => {
    const bookings = new Bookings();
    const wire = service();
    let hold: string | undefined;
    const next: Booking = { item: () => (hold === undefined ? null : item("more")) };
    bookings.add(
      {
        item: () => item("reserve"),
        answered: () => {
          hold = "h1";
          return next;
        },
      },
      false,
    );
    bookings.add({ item: () => item(`settle ${hold}`), isReady: () => hold !== undefined }, false);
    bookings.add(booking("last"), false);
    await bookings.send(wire);
    assert.deepEqual(wire.told, ["reserve"]);
    await bookings.send(wire);
    assert.deepEqual(wire.told, ["reserve", "more", "settle h1", "last"]);
  });

  it("are counted as booked only when they were sent", async () => {
    const bookings = new Bookings();
    const wire = service();
    bookings.add(booking("reserve"), false);
    // The release of a hold that the service denied.
    bookings.add({ item: () => null }, false);
    await bookings.send(wire);
    assert.deepEqual([wire.told, bookings.size, bookings.takeCounts()], [["reserve"], 0, { booked: 1, dropped: 0 }]);
  });

  it("are dropped nine minutes after they were first sent, because the service may have forgotten their keys", async () => {
    const clock = fakeClock(0);
    const bookings = new Bookings(clock);
    const wire = service(new Set(["sent", "doubted"]));
    bookings.add(booking("doubted"), true);
    bookings.add(booking("sent"), false);
    clock.advance(60_000);
    await assert.rejects(bookings.send(wire), StoreError);
    wire.failing.clear();
    clock.advance(8 * 60_000 + 1);
    bookings.add(booking("fresh"), false);
    await bookings.send(wire);
    assert.deepEqual([wire.told, bookings.takeCounts().dropped], [["sent", "fresh"], 1]);
  });

  it("do not wait forever for a booking that the service will never have", async () => {
    const bookings = new Bookings();
    const wire = service();
    let isDropped = false;
    const made: Booking = {
      item: () => item("wrong"),
      dropped: () => {
        isDropped = true;
      },
    };
    bookings.add(made, false);
    bookings.add({ item: () => item("record"), isReady: () => isDropped }, false);
    await bookings.send(wire);
    await bookings.send(wire);
    assert.deepEqual([wire.told, bookings.size], [["record"], 0]);
  });

  it("after an outage are sent at once, and detect the next one", async () => {
    const wire = service(new Set(["lost"]));
    const told: string[] = [];
    const policy = compiledPolicy({ version: 1, limits: [{ name: "a", per: ["session"], quota: 1 }] });
    const away = new LocalAway(wire as unknown as Wire, { policy, instances: 1 }, ({ type }) => told.push(type));
    away.book(booking("late"), false);
    away.book(booking("later"), false);
    assert.equal(await away.decidesHere(performance.now() + 1_000), false);
    assert.deepEqual([wire.told, told], [["late", "later"], []]);
    away.book(booking("lost"), false);
    await new Promise(setImmediate);
    assert.deepEqual([await away.decidesHere(performance.now() + 1_000), told], [true, ["store.unreachable"]]);
    await away.close(0);
    assert.deepEqual(told, ["store.unreachable", "failover.lost"]);
  });

  it("are retried rarely while the service is unreachable", async () => {
    let probes = 0;
    const send = async () => {
      probes++;
      throw new StoreError("unavailable", "away", { transient: true });
    };
    const policy = compiledPolicy({ version: 1, limits: [{ name: "a", per: ["session"], quota: 1 }] });
    const away = new LocalAway({ send } as unknown as Wire, { policy, instances: 500 }, () => {});
    away.leave(new StoreError("unavailable", "away", { transient: true }));
    await sleep(3_000);
    await away.close(0);
    assert.ok(probes >= 1 && probes <= 5, `${probes} probes in 3 s`);
  });

  it("have a bound, which ends of calls may exceed by as much again", () => {
    const bookings = new Bookings();
    bookings.checkRoom();
    for (let i = 0; i < MAX_BOOKINGS; i++) bookings.add(booking("a"), false);
    assert.throws(() => bookings.checkRoom(), isOverloaded);
    for (let i = 0; i < MAX_BOOKINGS; i++) bookings.add(booking("settle"), false);
    assert.throws(() => bookings.add(booking("settle"), false), isOverloaded);
  });

  it("for which there is no room fail the call, and nothing of it is kept", async () => {
    const unavailable = new StoreError("unavailable", "away", { transient: true });
    const wire = { deadlineMs: 1_000, send: () => Promise.reject(unavailable) } as unknown as Wire;
    const policy = compiledPolicy({ version: 1, limits: [{ name: "a", per: ["session"], quota: 1 }] });
    const away = new LocalAway(wire, { policy, instances: 1 }, () => {});
    away.reached();
    away.leave(unavailable);
    for (let i = 0; i < MAX_BOOKINGS; i++) away.book(booking("a"), false);
    const call: Call = { tool: "search", session: "s1", idempotencyKey: "k1" };
    const keyed = keyedCall(call, {}, true);
    const context = { wire, away, undecided: new Set() } as unknown as ClientContext;
    await assert.rejects(decideRemotely(context, "consume", keyed, {}), isOverloaded);
    const held = holdRemotely(context, "reserve", keyed, {}, () => assert.fail("the call was decided"));
    await assert.rejects(held, isOverloaded);
    const { allowed, replayed } = await away.limiter.consume(call);
    assert.deepEqual([allowed, replayed], [true, false]);
    await away.close(0);
  });
});
