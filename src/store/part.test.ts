import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StoreError } from "./error.ts";
import { partOf } from "./part.ts";

describe("a part that is loaded later", () => {
  it("is loaded once, when it is needed", async () => {
    let count = 0;
    const load = partOf("it", async () => ++count);
    assert.equal(count, 0);
    assert.deepEqual(await Promise.all([load(), load()]), [1, 1]);
    assert.equal(await load(), 1);
  });

  it("that cannot be loaded says so, and is loaded by the next call", async () => {
    const results = [Promise.reject(new Error("Cannot find module part.js")), Promise.resolve("part")];
    const load = partOf("Redis: the store's scripts", () => results.shift() as Promise<string>);
    await assert.rejects(load(), (error) => {
      assert.ok(StoreError.isInstance(error));
      assert.deepEqual([error.code, error.transient], ["unavailable", true]);
      assert.equal(
        error.message,
        "Redis: the store's scripts cannot be loaded: Cannot find module part.js. Install all files of the package tollgate",
      );
      return true;
    });
    assert.equal(await load(), "part");
  });
});
