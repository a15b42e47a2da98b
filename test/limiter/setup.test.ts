// How a store is set up is asked beside the calls: once it answers, and again when it is back.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter, type LimiterEvent, type LimiterOptions } from "tollgate";
import { networkLayers, type SetupCheck, type Store, StoreError } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { until } from "../e2e/tollgate.ts";
import { RemoteStore } from "../layers/remote.ts";
import { LOADER, ROOT } from "../sources.ts";

const policy = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 100 }] } as const;
const call = { tool: "x", session: "s" };
const away = () => new StoreError("unavailable", "away", { transient: true });
const evicting: SetupCheck = { name: "eviction", value: "allkeys-lru", problem: "counters may be evicted" };
const fine: SetupCheck = { name: "version", value: "7", problem: null };

/** A store that can be away, and says how it is set up. */
class Switched implements Store {
  readonly layers = networkLayers;
  readonly #store = memoryStore();
  isAway = false;
  checks: readonly SetupCheck[] | Error = [fine, evicting];
  asked = 0;

  async apply(...args: Parameters<Store["apply"]>) {
    if (this.isAway) throw away();
    return this.#store.apply(...args);
  }

  async setup() {
    this.asked++;
    if (this.isAway) throw away();
    if (this.checks instanceof Error) throw this.checks;
    return this.checks;
  }

  close() {
    return this.#store.close();
  }
}

function limiterOn(store: Store, options: Partial<LimiterOptions> = {}) {
  const events: LimiterEvent[] = [];
  const limiter = createLimiter({ policy, store, onEvent: (event) => events.push(event), ...options });
  const setups = () => events.filter(({ type }) => type === "store.misconfigured" || type === "store.check_failed");
  return { limiter, events, setups };
}

describe("the setup of a store", () => {
  it("is checked once the store has answered a call, and its problems are reported once", async () => {
    const store = new Switched();
    const { limiter, setups } = limiterOn(store);
    assert.equal(store.asked, 0);
    for (let i = 0; i < 5; i++) await limiter.consume(call);
    await until(() => setups().length > 0);
    assert.deepEqual(setups(), [{ type: "store.misconfigured", check: evicting }]);
    for (let i = 0; i < 5; i++) await limiter.consume(call);
    await sleep(300);
    assert.equal(store.asked, 1);
    assert.equal(setups().length, 1);
    await limiter.close();
  });

  it("is also checked without a call", async () => {
    const { limiter, setups } = limiterOn(new Switched());
    await until(() => setups().length === 1);
    await limiter.close();
  });

  it("is reported later where the store is unreachable at the start, and not as unknown meanwhile", async () => {
    const store = new Switched();
    store.isAway = true;
    const { limiter, events, setups } = limiterOn(store);
    await assert.rejects(limiter.consume(call));
    await until(() => store.asked >= 2);
    assert.deepEqual(events, []);
    store.isAway = false;
    await until(() => setups().length > 0);
    assert.deepEqual(setups(), [{ type: "store.misconfigured", check: evicting }]);
    await limiter.close();
  });

  it("is checked again when the store is back, and reported when it has changed", async () => {
    const store = new Switched();
    const { limiter, setups } = limiterOn(store);
    await limiter.consume(call);
    await until(() => setups().length === 1);
    const outage = async () => {
      await sleep(1_000);
      const { asked } = store;
      store.isAway = true;
      await assert.rejects(limiter.consume(call));
      store.isAway = false;
      await limiter.consume(call);
      await until(() => store.asked > asked);
      await sleep(10);
    };
    await outage();
    assert.equal(setups().length, 1, "the same problem was reported twice");
    const other: SetupCheck = { ...evicting, value: "volatile-lru" };
    store.checks = [fine, other];
    await outage();
    store.checks = [fine, { ...evicting, value: "noeviction", problem: null }];
    await outage();
    store.checks = [fine, other];
    await outage();
    assert.deepEqual(
      setups().map((event) => event.type === "store.misconfigured" && event.check.value),
      ["allkeys-lru", "volatile-lru", "volatile-lru"],
    );
    await limiter.close();
  });

  it("is checked again after an outage with a fallback", async () => {
    let asked = 0;
    const setup = async () => {
      asked++;
      return [evicting];
    };
    const store = Object.assign(new RemoteStore(), { setup });
    const { limiter, events, setups } = limiterOn(store, { denyCacheMs: 0 });
    await limiter.consume(call);
    await until(() => setups().length === 1);
    await sleep(1_000);
    store.fault = "lose-request";
    await limiter.consume(call);
    assert.equal(events.at(-1)?.type, "store.unreachable");
    store.fault = "answer";
    await until(() => events.some(({ type }) => type === "store.recovered"));
    await until(() => asked === 2);
    assert.equal(setups().length, 1);
    await limiter.close();
  });

  it("is reported once as unknown where it cannot be read, and calls still work", async () => {
    const store = new Switched();
    store.checks = new StoreError("unauthorized", "no right to ask", { transient: false });
    const { limiter, setups } = limiterOn(store);
    for (let i = 0; i < 5; i++) assert.equal((await limiter.consume(call)).allowed, true);
    await until(() => setups().length > 0);
    for (let i = 0; i < 5; i++) await limiter.consume(call);
    await sleep(300);
    assert.deepEqual(setups(), [{ type: "store.check_failed", error: store.checks }]);
    assert.equal(store.asked, 1);
    await limiter.close();
  });

  it("is neither checked nor reported once the limiter is closed", async () => {
    const store = new Switched();
    store.isAway = true;
    const { limiter, events } = limiterOn(store);
    await until(() => store.asked > 0);
    await limiter.close();
    const { asked } = store;
    store.isAway = false;
    await sleep(500);
    assert.equal(store.asked, asked);
    assert.deepEqual(events, []);
    let answer: (checks: readonly SetupCheck[]) => void = () => {};
    const late = Object.assign(new Switched(), {
      setup: () =>
        new Promise<readonly SetupCheck[]>((resolve) => {
          answer = resolve;
        }),
    });
    const { limiter: other, events: more } = limiterOn(late);
    await other.consume(call);
    await other.close();
    answer([evicting]);
    await sleep(10);
    assert.deepEqual(more, []);
  });

  it("delays no call, and keeps no process alive", () => {
    const script = `
      import { createLimiter } from "tollgate";
      import { networkLayers } from "tollgate/store";
      import { memoryStore } from "tollgate/stores/memory";
      const memory = memoryStore();
      const asking = (setup) => ({ apply: (...args) => memory.apply(...args), close: async () => {}, setup, layers: networkLayers });
      const policy = ${JSON.stringify(policy)};
      const limiter = createLimiter({ policy, store: asking(() => new Promise(() => {})), onEvent() {} });
      const away = Object.assign(new Error("away"), { transient: true });
      createLimiter({ policy, store: asking(() => Promise.reject(away)), onEvent() {} });
      console.log((await limiter.consume({ tool: "x", session: "s" })).allowed);
    `;
    const args = ["--conditions=tollgate-source", LOADER, "--input-type=module", "--eval", script];
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8", timeout: 10_000 });
    assert.deepEqual([status, stdout], [0, "true\n"]);
  });
});
