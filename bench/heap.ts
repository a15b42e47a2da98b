// In a process that does nothing else: how many bytes of heap one live bucket for each of many sessions takes.

import { askAll, type Call, PER_SESSION, sessionName } from "./calls.ts";
import { answerParent } from "./children.ts";
import { collectGarbage } from "./garbage.ts";
import { WAYS } from "./memory-contenders.ts";
import type { Opened } from "./race.ts";

const ONE = [PER_SESSION];
const HOLDERS = {
  tollgate: () => WAYS.tollgate(ONE),
  flexible: () => WAYS.flexible(ONE, "all at once"),
  express: () => WAYS.express(PER_SESSION),
  bareForm: () => WAYS.bareForm(PER_SESSION),
};

export interface Held {
  readonly holder: keyof typeof HOLDERS;
  readonly keys: number;
}

// One call at a time, by way of bytes, so that a session's string is as flat as that of a request, and counts only where
// the holder keeps it alive.
async function fill(holder: Opened, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const call: Call = { tool: "search", session: Buffer.from(sessionName(i)).toString(), user: "user-0" };
    await askAll([call], 1, holder);
  }
}

answerParent(async ({ holder, keys }: Held): Promise<number> => {
  // Compiled code does not belong to a key.
  await fill(HOLDERS[holder](), 1_000);
  const held = HOLDERS[holder]();
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  await fill(held, keys);
  collectGarbage();
  const after = process.memoryUsage().heapUsed;
  // Used once more after the measurement: otherwise it may be collected before.
  await fill(held, 1);
  return (after - before) / keys;
});
