// A process with many callers of one session at once: `callers.ts URL KEY CALLERS CALLS-OF-EACH`. Sends how many calls were allowed.

import { createRemoteLimiter } from "../../src/client.ts";

const [url = "", apiKey = "", callers, calls] = process.argv.slice(2);
const limiter = createRemoteLimiter({ url, apiKey, deadlineMs: 60_000 });
let allowed = 0;
const lane = async () => {
  for (let i = 0; i < Number(calls); i++) {
    if ((await limiter.consume({ tool: "search", session: "shared" })).allowed) allowed++;
  }
};
await Promise.all(Array.from({ length: Number(callers) }, lane));
await limiter.close();
process.send?.(allowed);
process.disconnect();
