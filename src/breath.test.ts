import assert from "node:assert/strict";
import { it } from "node:test";
import { yielding } from "./breath.ts";

it("lets everything else have its turn after some hundred answers, however many callers ask", async () => {
  for (const callers of [1, 64, 1_000]) {
    const give = yielding();
    let answers = 0;
    let isOver = false;
    const inRow: number[] = [];
    let before = 0;
    const look = () => {
      inRow.push(answers - before);
      before = answers;
      if (!isOver) setImmediate(look);
    };
    setImmediate(look);
    const ask = async () => {
      while (answers < 20_000) {
        await give(null);
        answers++;
      }
    };
    await Promise.all(Array.from({ length: callers }, ask));
    isOver = true;
    assert.ok(inRow.length > 5, `${inRow.length} turns`);
    assert.ok(Math.max(...inRow) <= 256 + callers, `${Math.max(...inRow)} answers in a row for ${callers} callers`);
  }
});
