// What the timeline shows while entries come, and where older ones are asked for.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EventEntry, LogEntry } from "../../console/answers.ts";
import { EMPTY, firstPage, olderThan, ROOM, withNew, withOlder } from "../../console/timeline.ts";

/** Entries from the newest to the oldest, one for each ms. */
function entries(newest: number, oldest: number): LogEntry[] {
  return Array.from({ length: newest - oldest + 1 }, (_, i): EventEntry => {
    const atMs = newest - i;
    const about = { type: "log.started", limit: null, dimensions: {}, data: {}, actor: null, reason: null };
    return { kind: "event", id: `e${atMs}`, atMs, instance: "i", policy: "p", ...about };
  });
}
const times = (items: readonly LogEntry[]) => [items[0]?.atMs, items.at(-1)?.atMs, items.length];

describe("a timeline", () => {
  const first = firstPage({ items: entries(60, 11), nextCursor: "11", lastPosition: "60" });

  it("has new entries above, each once, and goes on where its first page ended", () => {
    const next = withNew(first, entries(62, 60), false);
    assert.deepEqual(times(next.items), [62, 11, 52]);
    assert.deepEqual(olderThan(next), { cursor: "11" });
  });

  it("lets the oldest go when there is no room, and finds them again", () => {
    const next = withNew(first, entries(160, 61), false);
    assert.deepEqual(times(next.items), [160, 61, ROOM]);
    assert.deepEqual(olderThan(next), { toMs: 62 });
    const older = withOlder(next, entries(61, 31), "31");
    assert.deepEqual(times(older.items), [160, 31, 130]);
    assert.deepEqual(olderThan(older), { cursor: "31" });
    const later = withNew(older, entries(161, 161), false);
    assert.deepEqual(times(later.items), [161, 32, 130]);
  });

  it("stands still while it is held, and then shows the newest of what came", () => {
    const held = withNew(withNew(first, entries(100, 61), true), entries(200, 101), true);
    assert.deepEqual(times(held.items), [60, 11, 50]);
    assert.deepEqual(times(held.waiting), [200, 101, ROOM]);
    const shown = withNew(held, [], false);
    assert.deepEqual([times(shown.items), shown.waiting], [[200, 101, ROOM], []]);
    assert.deepEqual(olderThan(shown), { toMs: 102 });
  });

  it("has nothing older when all is there", () => {
    assert.deepEqual(olderThan(withNew(EMPTY, entries(2, 1), false)), {});
  });
});
