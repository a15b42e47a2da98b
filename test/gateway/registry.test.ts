// What the gateway tells people of its servers and tools.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fakeClock } from "tollgate/testing";
import { createRegistry } from "../../src/gateway/registry.ts";

const servers = [{ name: "one", url: new URL("https://user:pw@one.example/mcp?key=planted") }];

describe("what is known of servers", () => {
  it("has counts, states and addresses without secrets", () => {
    const clock = fakeClock(1_000);
    const registry = createRegistry(servers, clock);
    const toolless = { name: "one", url: "https://one.example/mcp", tools: [] };
    assert.deepEqual(registry.view().items, [{ ...toolless, state: "unknown", error: null, lastErrorAtMs: null }]);
    registry.sawTools("one", [{ name: "search", description: "x".repeat(300) }]);
    registry.sawCall("one", "search", true);
    clock.advance(5);
    registry.sawCall("one", "search", false);
    registry.sawServer("one", "cannot be reached (ECONNREFUSED).");
    registry.sawServer("one", null);
    registry.leftOut("one", "long", "its name is too long");
    registry.leftOut("one", "long", "its name is too long");
    const search = { name: "search", description: "x".repeat(200), calls: 2, denied: 1, lastCallAtMs: 1_005 };
    assert.deepEqual(registry.view(), {
      items: [{ ...toolless, tools: [search], state: "up", error: null, lastErrorAtMs: 1_005 }],
      leftOut: [{ server: "one", tool: "long", reason: "its name is too long" }],
    });
  });

  it("is bounded, whatever clients and servers name", () => {
    const registry = createRegistry(servers);
    for (let i = 0; i < 1_100; i++) {
      registry.sawCall("one", `tool ${i}`, true);
      registry.leftOut("one", `tool ${i}`, "");
    }
    registry.sawCall("one", "x".repeat(150), true);
    registry.sawCall("two", "search", true);
    const { items, leftOut } = registry.view();
    assert.deepEqual([items.length, items[0]?.tools.length, leftOut.length], [1, 1_000, 1_000]);
  });
});
