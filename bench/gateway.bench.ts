// What the MCP gateway adds to a call of a tool over loopback: the same request, judged and not judged, through the same gateway to
// the same server, in turns. Client, gateway and server are processes of their own.
//
// npm run bench:gateway

import { Agent, request } from "node:http";
import { buffer } from "node:stream/consumers";
import { startChildren } from "./children.ts";
import { boundRun, median, table } from "./harness.ts";
import { startRedis } from "./servers.ts";

const ROUNDS = 9;
const CALLS = 1_000;
/** With more the processor is busy all the time, and a request waits for others. */
const IN_FLIGHT = [1, 2];
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
  for (const inFlight of IN_FLIGHT) {
    const ways = {
      "no gateway": { url: upstream, method: "tools/call" },
      "not judged": { url, method: "tools/other" },
      judged: { url, method: "tools/call" },
    };
    const rounds = new Map<string, { readonly p50: number; readonly p99: number }[]>();
    for (let round = -1; round < ROUNDS; round++) {
      for (const [name, way] of Object.entries(ways)) {
        const taken = await timesOf(way.url, way.method, inFlight);
        const figures = { p50: quantile(taken, 0.5), p99: quantile(taken, 0.99) };
        // The first round warms up.
        if (round >= 0) rounds.set(name, [...(rounds.get(name) ?? []), figures]);
      }
    }
    const each = (name: string, which: "p50" | "p99") => (rounds.get(name) ?? []).map((figures) => figures[which]);
    const both = (name: string) => `${median(each(name, "p50")).toFixed(2)} / ${median(each(name, "p99")).toFixed(2)}`;
    const added = (which: "p50" | "p99") =>
      median(each("judged", which).map((ms, round) => ms - (each("not judged", which)[round] ?? Number.NaN))).toFixed(
        2,
      );
    rows.push([store, String(inFlight), ...Object.keys(ways).map(both), `${added("p50")} / ${added("p99")}`]);
  }
}
console.log("Milliseconds of a request, p50 / p99, medians of the rounds:\n");
console.log(table(["store", "in flight", "no gateway", "not judged", "judged", "judging adds"], rows));
