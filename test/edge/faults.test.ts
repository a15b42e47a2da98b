// What objects keep, clean up and refuse, inside real workerd.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { LimitSpec, StepReply, StoreRequest } from "tollgate/store";
import { storageError } from "../../src/edge/errors.ts";
import { ROOT } from "../sources.ts";
import { startWorker } from "./workerd.ts";

const worker = await startWorker();

interface Failed {
  readonly error: { readonly code: string; readonly message: string; readonly transient: boolean };
}
interface Reply {
  readonly allowed: boolean;
  readonly steps: readonly StepReply[];
}

const budget = (ttlMs: number): LimitSpec => ({ algorithm: "budget", quota: 100, ttlMs, ttlFrom: "first" });
const charge = (partition: string, bucket = "a", ttlMs = 3_600_000): StoreRequest => ({
  mode: "judge",
  steps: [{ bucket: `rate:1:{${partition}}:${bucket}`, limit: budget(ttlMs), event: { type: "charge", cost: 1 } }],
});
const apply = (...requests: StoreRequest[]) => worker.ask<readonly (Reply & Failed)[]>("apply", requests);
const object = <Answer>(partition: string, method: string, ...args: unknown[]) =>
  worker.ask<Answer>("object", { partition, method, args });
const usedIn = async (request: StoreRequest) => (await apply(request))[0]?.steps[0]?.used;
const rowsOf = (partition: string) =>
  object<[string, string, number][]>(partition, "rows", "SELECT * FROM tollgate_buckets");
const tablesOf = (partition: string) =>
  object<unknown[]>(partition, "rows", "SELECT name FROM sqlite_master WHERE name LIKE 'tollgate%'");

/** Waits until it is so, for 10 s. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries++) {
    assert.ok(tries < 200, "it did not come to that within 10 s");
    await sleep(50);
  }
}

describe("an object", () => {
  it("keeps what it had when it is evicted", async () => {
    assert.equal(await usedIn(charge("evicted")), 1);
    await assert.rejects(object("evicted", "evict"), /evicted/);
    assert.equal(await usedIn(charge("evicted")), 2);
  });

  it("makes no table for a call that only reads", async () => {
    const [peeked] = await apply({ ...charge("read"), mode: "peek" });
    assert.deepEqual([peeked?.allowed, await tablesOf("read")], [true, []]);
  });

  it("has its buckets under the documented keys, as text", async () => {
    await apply(charge("kept"));
    const [[key, value, endsAtMs] = []] = await rowsOf("kept");
    assert.deepEqual([key, value], ["rate:1:{kept}:a", "1"]);
    assert.ok(Math.abs(Number(endsAtMs) - Date.now() - 3_600_000) < 60_000);
  });

  it("decides a batch of more requests than one message takes, in order", async () => {
    const limit: LimitSpec = { algorithm: "budget", quota: 500, ttlMs: 60_000, ttlFrom: "first" };
    const bucket = "rate:1:{batch}:a";
    const one: StoreRequest = { mode: "judge", steps: [{ bucket, limit, event: { type: "charge", cost: 1 } }] };
    const replies = await apply(...Array.from({ length: 600 }, () => one));
    assert.deepEqual(
      replies.map(({ steps }) => steps[0]?.used),
      Array.from({ length: 600 }, (_, i) => Math.min(500, i + 1)),
    );
  });

  it("reads more keys at once than a statement has parameters", async () => {
    const steps = Array.from({ length: 150 }, (_, i) => charge("wide", `b${i}`).steps[0] as StoreRequest["steps"][0]);
    for (const used of [1, 2]) {
      const [reply] = await apply({ mode: "judge", steps });
      assert.deepEqual(new Set(reply?.steps.map((step) => step.used)), new Set([used]));
    }
  });
});

describe("the alarm of an object", () => {
  it("goes off when the first bucket ends, but not at once", async () => {
    await apply(charge("alarm", "a", 3_600_000));
    const late = Number(await object("alarm", "alarmAtMs")) - Date.now();
    await apply(charge("alarm", "b", 1_000));
    const early = Number(await object("alarm", "alarmAtMs")) - Date.now();
    await apply(charge("alarm", "c", 7_200_000));
    assert.ok(late > 3_500_000 && late <= 3_600_000, `${late}`);
    assert.ok(early > 540_000 && early <= 600_000, `${early}`);
    assert.ok(Number(await object("alarm", "alarmAtMs")) - Date.now() <= early);
  });

  it("removes what has ended, a few rows at a time, and then the object", async () => {
    await object("swept", "setBounds", { alarmEachMs: 100, rowsPerAlarm: 3, pauseMs: 10 });
    await apply(...Array.from({ length: 20 }, (_, i) => charge("swept", `b${i}`, 50)), charge("swept", "later", 1_500));
    await until(async () => (await rowsOf("swept")).length === 1);
    assert.equal((await rowsOf("swept"))[0]?.[0], "rate:1:{swept}:later");
    assert.ok((await object("swept", "alarmAtMs")) !== null);
    await until(async () => (await tablesOf("swept")).length === 0);
    assert.equal(await object("swept", "alarmAtMs"), null);
    assert.equal(await usedIn(charge("swept")), 1);
  });

  it("is not needed where batches go on: they remove a few rows each", async () => {
    await object("busy", "setBounds", { writtenPerSweep: 4 });
    for (let i = 0; i < 10; i++) await apply(...Array.from({ length: 4 }, (_, n) => charge("busy", `b${i}-${n}`, 1)));
    await sleep(5);
    for (let i = 0; i < 8; i++) await apply(...Array.from({ length: 4 }, (_, n) => charge("busy", `c${n}`)));
    assert.equal((await rowsOf("busy")).length, 4);
  });
});

describe("the rows of an object", () => {
  it("are as few as the page says", async () => {
    const rows = () => object<[read: number, written: number]>("rows", "rowsCounted");
    const costOf = async (...requests: StoreRequest[]) => {
      await apply(...requests);
      return rows();
    };
    const { steps } = charge("rows");
    const three = { mode: "judge", steps: ["a", "b", "c"].flatMap((name) => charge("rows", name).steps) } as const;
    const keyed = { ...charge("rows"), once: { key: "rate:1:{rows}:$once:k", request: "r1" } };
    const denied: StoreRequest = {
      mode: "judge",
      steps: steps.map((step) => ({ ...step, event: { type: "charge", cost: 1_000 } })),
    };
    await rows();
    await costOf(three);
    assert.deepEqual(await costOf(charge("rows")), [0, 1]);
    assert.deepEqual(await costOf(three), [0, 3]);
    assert.deepEqual(await costOf(keyed), [0, 2]);
    assert.deepEqual(await costOf(denied), [0, 0]);
    assert.deepEqual(await costOf({ ...three, mode: "peek" }), [0, 0]);
    // What calls sweep on the way, in steps.
    const [read, written] = await costOf(...Array.from({ length: 256 }, (_, i) => charge("rows", `b${i}`)), keyed);
    assert.ok(read <= 4 * written + 20, `${read} read, ${written} written`);
    await assert.rejects(object("rows", "evict"), /evicted/);
    const [readAgain, writtenAgain] = await costOf(three);
    assert.ok(readAgain <= 3 + 10 && writtenAgain === 3, `${readAgain} read, ${writtenAgain} written`);
    await object("rows", "runAlarm");
    const [lookedAt, removed] = await rows();
    assert.ok(lookedAt <= 3 * 260 && removed === 0, `${lookedAt} read, ${removed} removed`);
  });
});

describe("a full object", () => {
  it("refuses calls that need a new bucket, and ends those that it allowed", async () => {
    const hold = (id: string, bucket: string): StoreRequest => ({
      mode: "judge",
      steps: charge("full", bucket).steps.map((step) => ({
        ...step,
        event: { type: "hold", id, units: 1, leaseMs: 60_000, onExpiry: "charge" },
      })),
    });
    const settle: StoreRequest = {
      mode: "force",
      steps: charge("full", "a").steps.map((step) => ({ ...step, event: { type: "settle", id: "h1", units: 5 } })),
      once: { key: "rate:1:{full}:$settled:h1", request: "r1" },
    };
    await object("full", "setBounds", { writtenPerSweep: 1, bytes: 1 });
    await apply(hold("h1", "a"));
    const [refused, known, ended] = await apply(charge("full", "new"), charge("full", "a"), settle);
    assert.deepEqual([refused?.error.code, refused?.error.transient], ["capacity", true]);
    assert.match(refused?.error.message ?? "", /takes no new buckets until others expire/);
    assert.deepEqual([known?.allowed, ended?.steps[0]?.used], [true, 6]);
    await object("full", "setBounds", { bytes: 1e9 });
    await apply(charge("full", "a"));
    assert.equal((await apply(charge("full", "new")))[0]?.allowed, true);
  });
});

describe("an object that is not as the store wants it", () => {
  const failureOf = async (asked: Promise<readonly (Reply & Failed)[]>) => (await asked)[0]?.error;

  it("is refused where another version wrote its tables", async () => {
    await apply(charge("newer"));
    await object("newer", "rows", "UPDATE tollgate_layout SET version = 9");
    await assert.rejects(object("newer", "evict"), /evicted/);
    const error = await failureOf(apply(charge("newer")));
    assert.deepEqual([error?.code, error?.transient], ["schema-version", false]);
    assert.match(error?.message ?? "", /the object has layout 9; this version of Tollgate reads layout 1/);
  });

  it("begins again where a program has removed its tables", async () => {
    await apply(charge("removed"));
    await object("removed", "rows", "DROP TABLE tollgate_buckets");
    await object("removed", "rows", "DROP TABLE tollgate_layout");
    const error = await failureOf(apply(charge("removed")));
    assert.deepEqual([error?.code, error?.transient], ["unavailable", true]);
    assert.equal(await usedIn(charge("removed")), 1);
  });

  it("fails the call of a damaged bucket alone, until a reset", async () => {
    await apply(charge("damaged"), charge("damaged", "b"));
    await object("damaged", "rows", "UPDATE tollgate_buckets SET value = 'what' WHERE key LIKE '%:a'");
    await assert.rejects(object("damaged", "evict"), /evicted/);
    const [broken, other] = await apply(charge("damaged"), charge("damaged", "b"));
    assert.deepEqual([broken?.error.code, other?.steps[0]?.used], ["damaged-bucket", 2]);
    const { steps } = charge("damaged");
    await apply({ mode: "force", steps: steps.map((step) => ({ ...step, event: { type: "reset" } })) });
    assert.equal(await usedIn(charge("damaged")), 1);
  });

  it("fails a batch that it cannot write as a whole", async () => {
    await apply(charge("unwritten"));
    const trigger = `CREATE TRIGGER no BEFORE INSERT ON tollgate_buckets WHEN NEW.key LIKE '%:c'
      BEGIN SELECT RAISE(ABORT, 'not this one'); END`;
    await object("unwritten", "rows", trigger);
    const error = await failureOf(apply(charge("unwritten", "b"), charge("unwritten", "c")));
    assert.deepEqual([error?.code, error?.transient], ["unavailable", true]);
    assert.match(error?.message ?? "", /not this one.*nothing was charged/s);
    assert.equal((await rowsOf("unwritten")).length, 1);
  });

  it("fails a call whose row would be too long", async () => {
    const statement = "SELECT hex(zeroblob(3000000))";
    await assert.rejects(object("long", "rows", statement), (error: Error) => {
      const { code, transient } = storageError(error);
      assert.deepEqual([code, transient], ["capacity", false]);
      return true;
    });
  });

  it("is of another class", async () => {
    const error = await failureOf(worker.ask("misbound", [charge("misbound")]));
    assert.deepEqual([error?.code, error?.transient], ["unsupported-request", false]);
    assert.match(error?.message ?? "", /bind the namespace to the class TollgateObject/);
  });

  it("reads messages of another version", async () => {
    const reply = await object<string>("protocol", "decide", JSON.stringify({ protocol: 2, requests: [] }));
    const { error } = JSON.parse(reply) as Failed;
    assert.deepEqual([error.code, error.transient], ["schema-version", true]);
  });

  it("fails calls that were not made within a request", async () => {
    const text = await worker.ask<string>("outside");
    assert.match(text, /unsupported-request.*call the limiter inside a request/s);
  });
});

describe("the Worker on the page of the store", () => {
  it("runs as it stands, with the limiter in the global scope", async () => {
    const page = readFileSync(`${ROOT}docs/stores/durable-objects.md`, "utf8");
    const [, code = ""] = /```js\n([\s\S]*?)```/.exec(page) ?? [];
    const shown = await startWorker({ code, className: "TollgateObject", flags: [] });
    for (const remaining of [49, 48]) assert.deepEqual(await shown.ask("?session=s9"), { allowed: true, remaining });
  });
});
