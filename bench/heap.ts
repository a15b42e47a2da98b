// In a process that does nothing else: `heap.ts NAME KEYS` holds one live bucket for each of so many sessions, and prints
// how many bytes of heap they take.

import { type Call, PER_SESSION, sessionName } from "./calls.ts";
import { type Runner, WAYS } from "./memory-contenders.ts";
import { collectGarbage } from "./race.ts";

const ONE = [PER_SESSION];
const MAKE: Readonly<Record<string, () => Runner>> = {
  tollgate: () => WAYS.tollgate(ONE),
  flexible: () => WAYS.flexible(ONE, "all at once"),
  express: () => WAYS.express(PER_SESSION),
  bareForm: () => WAYS.bareForm(PER_SESSION),
};

const [name = "", keys = 0] = [process.argv[2], Number(process.argv[3])];
const make = MAKE[name];
if (make === undefined) throw new Error(`no holder is named ${name}`);

// One at a time, by way of bytes, so that a session's string is as flat as that of a request, and counts only where the
// holder keeps it alive.
async function fill(runner: Runner, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const call: Call = { tool: "search", session: Buffer.from(sessionName(i)).toString(), user: "user-0" };
    await runner.run([call]);
  }
}

// Compiled code is not a key's.
await fill(make(), 1_000);
const runner = make();
collectGarbage();
const before = process.memoryUsage().heapUsed;
await fill(runner, keys);
collectGarbage();
const after = process.memoryUsage().heapUsed;
// Asked once more after the measurement: otherwise it may be collected before.
await fill(runner, 1);
process.stdout.write(String((after - before) / keys), () => process.exit());
