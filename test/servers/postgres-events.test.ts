// What the table of docs/stores/postgres.md says: what happens to a Postgres, and what an instance of `serve` does then. Its
// store is opened as `serve` opens it. TOLLGATE_POSTGRES_DROPS says how often connections die; how long an instance may take
// to be back is judged where TOLLGATE_CHAOS_STRICT is set.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter, type Decision, type Limiter, type LimiterEvent, StoreError } from "tollgate";
import { migrate } from "tollgate/stores/postgres";
import { openLastingStore } from "../../src/cli/store-url.ts";
import { isStrict } from "../chaos/outage.ts";
import { type FaultProxy, startFaultProxy } from "../chaos/fault-proxy.ts";
import { startPostgres, startStandby } from "../postgres.ts";
import { until } from "./load.ts";

const DROPS = Number(process.env.TOLLGATE_POSTGRES_DROPS ?? 12);
/** How long an instance may take to be back once connections can be had. */
const BACK_MS = isStrict ? 5_000 : 15_000;
/** For how long the store has to decide all calls until an instance counts as back. */
const SETTLED_MS = 300;

const portOf = (url: string) => Number(new URL(url).port);

interface Instance {
  readonly limiter: Limiter;
  readonly proxy: FaultProxy;
  readonly events: LimiterEvent[];
  /** Whether the store decides a call, and not this instance by itself. */
  isCounted(): Promise<boolean>;
  call(): Promise<Decision>;
}

/** A limiter on a store as `serve` opens it, through a proxy. */
async function opened(url: string): Promise<Instance> {
  const proxy = await startFaultProxy(portOf(url));
  const { store, close } = await openLastingStore(url.replace(/:\d+\//, `:${proxy.port}/`));
  const events: LimiterEvent[] = [];
  const limiter = createLimiter({
    policy: { version: 1, limits: [{ name: "calls", per: ["session"], quota: 1_000_000 }] },
    store,
    onEvent: (event) => events.push(event),
  });
  after(async () => {
    proxy.refuse();
    await limiter.close({ withinMs: 0 });
    await close();
  });
  const call = () => limiter.consume({ tool: "search", session: "s1" });
  const isCounted = async () => (await call()).degraded === null;
  assert.ok(await isCounted(), String(events[0] !== undefined && "error" in events[0] && events[0].error));
  return { limiter, proxy, events, call, isCounted };
}

/** How long it takes until the store decides all calls for a while; the instance decides those before. */
async function backIn({ isCounted }: Instance): Promise<number> {
  const startMs = performance.now();
  let sinceMs = startMs;
  while (performance.now() - sinceMs < SETTLED_MS) {
    if (!(await isCounted())) sinceMs = performance.now();
    assert.ok(sinceMs - startMs < BACK_MS, `the store does not decide within ${BACK_MS} ms`);
    await sleep(10);
  }
  return Math.round(sinceMs - startMs);
}

/** What each call of a while comes to: a decision of the store or of the instance, or the code of an error. */
async function seenFor(ms: number, { call }: Instance): Promise<Set<string>> {
  const seen = new Set<string>();
  for (const endMs = performance.now() + ms; performance.now() < endMs; await sleep(20)) {
    try {
      seen.add((await call()).degraded === null ? "store" : "instance");
    } catch (error) {
      seen.add(StoreError.isInstance(error) ? error.code : String(error));
    }
  }
  return seen;
}

const TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
const HEALED = "DROP TRIGGER failing ON tollgate_buckets";

/** Lets updates of buckets fail as they do where the server has this condition. */
function failing(condition: string, when: string): string {
  return `CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF ${when} THEN RAISE ${condition}; END IF; RETURN NEW; END $$;
    CREATE TRIGGER failing BEFORE UPDATE ON tollgate_buckets FOR EACH ROW EXECUTE FUNCTION fail()`;
}

/** A server whose role `app` has a password, for all tests that do something to it. */
const managed = await startPostgres();
const admin = managed.pool({ max: 1 });
await migrate(admin);
await admin.query("CREATE ROLE app LOGIN PASSWORD 'secret'; GRANT ALL ON tollgate_buckets, tollgate_schema TO app");
const { rows: files } = await admin.query("SHOW hba_file");
writeFileSync(files[0]?.hba_file, "host all app all scram-sha-256\nhost all all all trust\n");
await admin.query("SELECT pg_reload_conf()");

const codesIn = (events: readonly LimiterEvent[]) =>
  events.flatMap((event) => (event.type === "store.unreachable" ? [event.error.code] : []));

describe("an instance of serve", () => {
  it(`recovers soon after each of ${DROPS} times that all of its connections die silently`, async (context) => {
    const instance = await opened(managed.url);
    const times: number[] = [];
    for (let drop = 0; drop < DROPS; drop++) {
      instance.proxy.freeze();
      times.push(await backIn(instance));
    }
    context.diagnostic(`back after ${times.join(", ")} ms`);
  });

  it("recovers after connections died and new ones were silent, too, for a while", async (context) => {
    const instance = await opened(managed.url);
    instance.proxy.freeze();
    instance.proxy.blackHole("both");
    assert.ok((await seenFor(3_000, instance)).has("instance"));
    instance.proxy.freeze();
    await instance.proxy.heal();
    context.diagnostic(`back after ${await backIn(instance)} ms`);
  });

  it("follows a name to the promoted server, when the old one stays and is read-only", async (context) => {
    const primary = await startPostgres();
    const instance = await opened(primary.url);
    await Promise.all(Array.from({ length: 40 }, () => instance.call()));
    const standby = await startStandby(primary);
    const { rows } = await primary.pool().query("SELECT value FROM tollgate_buckets WHERE key LIKE '%calls%'");
    await primary.pool().query("ALTER SYSTEM SET default_transaction_read_only = on");
    await primary.pool().query("SELECT pg_reload_conf()");
    await until("the primary only reads", async () => !(await instance.isCounted()));
    await standby.pool().query("SELECT pg_promote()");
    instance.proxy.moveTo(portOf(standby.url));
    context.diagnostic(`back after ${await backIn(instance)} ms`);
    assert.ok(codesIn(instance.events).includes("read-only"));
    const { rows: after } = await standby.pool().query("SELECT value FROM tollgate_buckets WHERE key LIKE '%calls%'");
    assert.ok(
      Number(after[0]?.value) > Number(rows[0]?.value),
      "what was counted before is there, and calls are added",
    );
  });
});

describe("maintenance on the server of an instance of serve", () => {
  const events: {
    readonly what: string;
    readonly begins: readonly string[];
    /** What calls come to meanwhile. */
    readonly seen: readonly string[];
    readonly says?: RegExp;
    readonly ends: readonly string[];
  }[] = [
    {
      what: "a server without a connection left",
      begins: ["ALTER ROLE app CONNECTION LIMIT 0", TERMINATE],
      seen: ["instance"],
      says: /53300; .*make pools smaller/,
      ends: ["ALTER ROLE app CONNECTION LIMIT -1"],
    },
    {
      what: "a right that is removed",
      begins: ["REVOKE ALL ON tollgate_buckets FROM app"],
      seen: ["unauthorized"],
      ends: ["GRANT ALL ON tollgate_buckets TO app"],
    },
    {
      what: "a password that is changed, as long as connections stay",
      begins: ["ALTER ROLE app PASSWORD 'other'"],
      seen: ["store", "unauthorized"],
      ends: ["ALTER ROLE app PASSWORD 'secret'"],
    },
    {
      what: "a password that is changed, once connections end",
      begins: ["ALTER ROLE app PASSWORD 'other'", TERMINATE],
      seen: ["unauthorized"],
      ends: ["ALTER ROLE app PASSWORD 'secret'"],
    },
    {
      what: "connections that are ended",
      begins: [TERMINATE],
      seen: ["store", "instance"],
      ends: [],
    },
    {
      what: "a disk that is full",
      begins: [failing("disk_full", "true")],
      seen: ["instance"],
      says: /53100; the server's disk is full/,
      ends: [HEALED],
    },
    {
      what: "a deadlock",
      begins: ["CREATE SEQUENCE met; GRANT ALL ON met TO app", failing("deadlock_detected", "nextval('met') = 1")],
      seen: ["store"],
      ends: [HEALED],
    },
    {
      what: "a database that only reads",
      begins: ["ALTER DATABASE postgres SET default_transaction_read_only = on", TERMINATE],
      seen: ["instance"],
      says: /25006; .*name the primary/,
      ends: ["ALTER DATABASE postgres SET default_transaction_read_only = off"],
    },
  ];
  for (const { what, begins, seen, says, ends } of events) {
    it(`${what}: calls become ${seen.join(", ")}, and the store decides again afterwards`, async () => {
      const instance = await opened(managed.url.replace("tollgate@", "app:secret@"));
      let met: Set<string>;
      try {
        for (const sql of begins) await admin.query(sql);
        await sleep(50);
        met = await seenFor(400, instance);
      } finally {
        for (const sql of ["SET default_transaction_read_only = off", ...ends]) await admin.query(sql);
      }
      await backIn(instance);
      for (const each of met) assert.ok(seen.includes(each), each);
      assert.ok(met.has(seen[0] ?? ""), [...met].join());
      const away = instance.events.flatMap((event) =>
        event.type === "store.unreachable" ? [event.error.message] : [],
      );
      if (says !== undefined) assert.match(away.join("\n"), says);
    });
  }
});

describe("an instance of serve after a crash", () => {
  it("recovers after the server has crashed and started again", async () => {
    const instance = await opened(managed.url);
    await managed.kill();
    assert.deepEqual(await seenFor(300, instance), new Set(["instance"]));
    await managed.start();
    await backIn(instance);
    assert.deepEqual(new Set(codesIn(instance.events)), new Set(["unavailable"]));
  });
});
