// The floor on Redis: a script that only counts the same calls, by the commands of Tollgate's script.

import type { Redis } from "ioredis";
import type { Call, Limit } from "./calls.ts";
import { CALLS_A_TRANSACTION } from "./floors.ts";
import type { Opened } from "./race.ts";

/** As many as Tollgate has under way with 512 calls in flight. */
const UNDER_WAY = 2;

/** Replies how many calls pass. All counters are there. */
const SCRIPT = `
local values, admitted = redis.call("MGET", unpack(KEYS)), 0
for i, key in ipairs(KEYS) do
  local by = math.max(0, math.min(ARGV[i + 1], ARGV[1] - values[i]))
  redis.call("PEXPIRETIME", key)
  redis.call("INCRBY", key, by)
  admitted = admitted + by
end
return admitted`;

/** Reads and counts up the keys that Tollgate does, in scripts of as many calls. */
export function bareScripts({ name, quota, key: keyOf }: Limit, client: Redis): Opened {
  client.defineCommand("countUp", { lua: SCRIPT });
  const { countUp } = client as unknown as { countUp(keys: number, ...rest: (string | number)[]): Promise<number> };
  const decide = (batch: readonly Call[]) => {
    const counts = Map.groupBy(batch, (call) => `rate:1:{${keyOf(call)}}:${name}`);
    const lengths = [...counts.values()].map(({ length }) => length);
    return countUp.call(client, counts.size, ...counts.keys(), quota, ...lengths);
  };
  const decideAll = async (calls: readonly Call[]) => {
    let [next, admitted] = [0, 0];
    const lane = async () => {
      while (next < calls.length) {
        const from = next;
        next += CALLS_A_TRANSACTION;
        const passed = await decide(calls.slice(from, next));
        admitted += passed;
      }
    };
    await Promise.all(Array.from({ length: UNDER_WAY }, lane));
    return admitted;
  };
  return {
    decide: (call) => decide([call]),
    allows: (admitted) => admitted === 1,
    decideAll,
    close: async () => client.disconnect(),
  };
}
