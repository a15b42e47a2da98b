// A process that simulates what its parent sends: processes.ts.

import type { Chunk } from "./processes.ts";
import { simulate } from "./simulate.ts";

const options = JSON.parse(process.argv[2] ?? "");

process.on("message", async (chunk: Chunk) => {
  process.send?.(await simulate(chunk, options));
});
