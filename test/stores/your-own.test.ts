// The stores of docs/stores/your-own.md keep the contracts that the page explains.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { StoreError, type StoreRequest } from "tollgate/store";
import { fakeClock } from "tollgate/testing";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";
import { testSharedStore, testStore } from "./store-suite.ts";

const folder = temporaryFolder();
const page = readFileSync(join(ROOT, "docs/stores/your-own.md"), "utf8");
const [own, shared] = await Promise.all(
  [...page.matchAll(/```ts\n([\s\S]*?)\n```/g)].map(async ([, code = ""], i) => {
    const file = join(folder, `example-${i}.js`);
    // The last lines use the store, and print what examples.test.ts looks at.
    const store = stripTypeScriptTypes(code.slice(0, code.indexOf("\nconst policy =")));
    const resolved = store.replace(/from "(tollgate[^"]*)"/g, (_, name) => `from "${import.meta.resolve(name)}"`);
    writeFileSync(file, resolved);
    return import(pathToFileURL(file).href);
  }),
);

testStore("the page's first store", () => {
  const clock = fakeClock();
  const table = new Map();
  const open = () => own.tableStore(table, clock);
  return { store: open(), another: open, advance: clock.advance };
});

testSharedStore("the page's shared store", () => {
  const clock = fakeClock();
  const [table, instances] = [new Map(), new Map()];
  const open = () => shared.sharedTableStore(table, instances, clock);
  return { store: open(), another: open, advance: clock.advance };
});

interface Row {
  readonly value: string;
  readonly expiresAtMs: number;
}

/** Rows that are locked when they are read, as by `FOR UPDATE`, and a sweep beside the batches that removes expired ones. */
class LockingTable extends Map<string, Row> {
  readonly #locked = new Set<string>();
  #sweeps: number;

  constructor(sweeps: number) {
    super();
    this.#sweeps = sweeps;
  }

  override get(key: string): Row | undefined {
    if (this.#sweeps-- > 0) for (const [name, row] of this) if (row.expiresAtMs === 0) this.delete(name);
    const row = super.get(key);
    if (row !== undefined) this.#locked.add(key);
    return row;
  }

  override set(key: string, row: Row): this {
    const isNew = !this.has(key) && row.value === "";
    assert.ok(isNew || this.#locked.has(key), `${key} is written without a lock`);
    return super.set(key, row);
  }
}

describe("the page's first store, on rows that have to be there to be locked", () => {
  const request: StoreRequest = {
    mode: "judge",
    steps: [
      {
        bucket: "b",
        limit: { algorithm: "budget", quota: 9, ttlMs: 1_000, ttlFrom: "last" },
        event: { type: "charge", cost: 1 },
      },
    ],
  };

  for (const sweeps of [0, 1, 4]) {
    it(`makes a new row, locks it and counts, although a sweep removes it ${sweeps} times`, async () => {
      const store = own.tableStore(new LockingTable(sweeps), fakeClock());
      for (const used of [1, 2]) assert.equal((await store.apply([request]))[0].steps[0].used, used);
    });
  }

  it("is busy when each attempt finds its row removed, and writes nothing", async () => {
    const table = new LockingTable(5);
    const isBusy = (error: unknown) => StoreError.isInstance(error) && error.code === "busy" && error.transient;
    await assert.rejects(own.tableStore(table, fakeClock()).apply([request]), isBusy);
    assert.equal(table.size, 0);
  });
});
