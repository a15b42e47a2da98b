// What the MCP gateway adds to a call of a tool over loopback: the same request, judged and not judged, through the same gateway to
// the same server, in turns. Client, gateway and server are processes of their own.
//
// npm run bench:gateway

import { Agent, request } from "node:http";
import { buffer } from "node:stream/consumers";
import { startChildren } from "./children.ts";
import { boundRun, table } from "./harness.ts";
import { startRedis } from "./servers.ts";

const ROUNDS = 5;
const CALLS = 1_000;
const PROGRAM = new URL("gateway/process.ts", import.meta.url);
const VERSION = "2026-07-28";

boundRun(10);

/** A call, or a request of the same size that is no call. */
function messageOf(method: string, id: number) {
  const params = `{"name":"search","arguments":{"query":"a red bicycle"},"_meta":{"io.modelcontextprotocol/protocolVersion":"${VERSION}"}}`;
  const body = `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`;
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": VERSION,
    "mcp-method": method,
    "mcp-name": "search",
    "x-session": `s${id % 100}`,
  };
  return { body, headers };
}

/** Sends so many requests, some at a time. Returns how long each took, ms. */
async function timesOf(url: string, method: string, inFlight: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: inFlight });
  const times: number[] = [];
  let next = 0;
  const caller = async () => {
    while (next < CALLS) {
      const { body, headers } = messageOf(method, next++);
      const begunMs = performance.now();
      const answer = await new Promise<Buffer>((resolve, reject) => {
        const asked = request(url, { method: "POST", headers, agent }, (response) =>
          buffer(response).then(resolve, reject),
        );
        asked.on("error", reject).end(body);
      });
      times.push(performance.now() - begunMs);
      if (!String(answer).includes('"found"')) throw new Error(`the answer is ${answer}`);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  agent.destroy();
  return times;
}

function quantile(times: readonly number[], share: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
}

await using redis = await startRedis();
using server = await startChildren<null, string>(PROGRAM, { args: ["server"] });
const [upstream = ""] = await server.ask([null]);
const rows: string[][] = [];
for (const store of ["memory", "SQLite", "Redis"]) {
  using gateway = await startChildren<null, string>(PROGRAM, { args: [store, upstream, String(redis.port)] });
  const [url = ""] = await gateway.ask([null]);
  for (const inFlight of [1, 8]) {
    const ways = {
      "no gateway": { url: upstream, method: "tools/call" },
      "not judged": { url, method: "tools/other" },
      judged: { url, method: "tools/call" },
    };
    const times = new Map<string, number[]>();
    for (let round = -1; round < ROUNDS; round++) {
      for (const [name, way] of Object.entries(ways)) {
        const taken = await timesOf(way.url, way.method, inFlight);
        // The first round warms up.
        if (round >= 0) times.set(name, [...(times.get(name) ?? []), ...taken]);
      }
    }
    const ms = (name: string, share: number) => quantile(times.get(name) ?? [], share);
    const added = (share: number) => (ms("judged", share) - ms("not judged", share)).toFixed(2);
    const both = (name: string) => `${ms(name, 0.5).toFixed(2)} / ${ms(name, 0.99).toFixed(2)}`;
    rows.push([store, String(inFlight), ...Object.keys(ways).map(both), `${added(0.5)} / ${added(0.99)}`]);
  }
}
console.log("Milliseconds of a request, p50 / p99, through the gateway to a server and back:\n");
console.log(table(["store", "in flight", "no gateway", "not judged", "judged", "judging adds"], rows));
