// One of the processes of borrowing.test.ts: makes calls for some time, and writes a byte for each that was allowed.

import { writeSync } from "node:fs";
import { Redis } from "ioredis";
import { createLimiter } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { CALL, POLICY } from "./borrowing-policy.ts";

const [url = "", lastsMs = ""] = process.argv.slice(2);
const client = new Redis(url);
const limiter = createLimiter({ policy: POLICY, store: redisStore(client) });
const endMs = performance.now() + Number(lastsMs);
while (performance.now() < endMs) {
  const { allowed } = await limiter.consume(CALL);
  if (allowed) writeSync(1, "x");
}
// It holds what it has borrowed until it is killed.
process.kill(process.pid, "SIGKILL");
