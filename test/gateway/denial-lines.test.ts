// What a gateway's log says of denied calls.

import assert from "node:assert/strict";
import { it } from "node:test";
import { memoryStore } from "tollgate/stores/memory";
import { withDenialLines } from "../../src/cli/denial-lines.ts";
import { createHostedLimiter } from "../../src/limiter.ts";

it("writes a line for each denial, ten in a second, and then how many others there were", async () => {
  const limits = [{ name: "calls", per: ["tool" as const], quota: 1 }];
  const limiter = createHostedLimiter({ policy: { version: 1, limits }, store: memoryStore() });
  const lines: string[] = [];
  const said = withDenialLines(limiter, {
    one: (tool, { deniedBy }) => lines.push(`${tool}: ${deniedBy}`),
    others: (count) => lines.push(`${count} others`),
  });
  for (let i = 0; i < 14; i++) await said.begin({ tool: "echo" }, { abandoned: AbortSignal.any([]) });
  await said.close();
  assert.deepEqual(lines, [...Array(10).fill("echo: calls"), "3 others"]);
});
