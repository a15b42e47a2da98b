// One of the processes of hold.test.ts: takes a hold, says its id, and never ends it.

import { createLimiter } from "tollgate";
import { openStore } from "../../src/cli/store-url.ts";
import { callOf, POLICY } from "./hold-policy.ts";

const [verb, url = "", session = "", leaseMs] = process.argv.slice(2);
const limiter = createLimiter({
  policy: POLICY,
  store: (await openStore(url)).store,
  failover: { deadlineMs: 10_000 },
});
const never = () => new Promise<never>(() => setInterval(() => {}, 1_000));
if (verb === "reserve") {
  const held = await limiter.reserve(callOf(session), { leaseMs: leaseMs === undefined ? leaseMs : Number(leaseMs) });
  process.stdout.write(held.allowed ? `${held.hold.id} ${held.replayed}\n` : "denied\n");
  await never();
} else {
  await limiter.run(callOf(session), () => {
    process.stdout.write("running\n");
    return never();
  });
}
