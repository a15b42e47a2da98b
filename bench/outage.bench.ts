// Redis away, beside rate-limiter-flexible: the same load and the same faults, what each contender admits, how fast, and
// how good the counts are afterwards. Each contender gets a Redis of its own for each fault.
//
// npm run bench:outage -- [--only FAULT] [--json] [--write]

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type FaultProxy, openFaultProxy } from "../test/chaos/fault-proxy-server.ts";
import { PEER } from "./calls.ts";
import { aboutLines, boundRun, circumstances, median, number, progress, table } from "./harness.ts";
import { type Contender, DEADLINE_MS, INSTANCES, QUOTA, WAYS, type Way } from "./outage/contenders.ts";
import { FAULTS, type Fault, type Site } from "./outage/faults.ts";
import { Load, type Seen } from "./outage/load.ts";
import { serverVersions, startRedis } from "./servers.ts";

const MAX_MINUTES = 20;
const CALLERS = 64;
const EVERY_MS = 5;
const BEFORE_MS = 400;
/** After the fault there is little load for a while, then none, and the counts are compared. */
const RECOVERY_MS = 1_200;
const RECOVERY_EVERY_MS = 100;
/** Then the load continues until it has made as many calls. */
const CALLS = 3_000;
const REST_EVERY_MS = 1;
const REST_MS = 5_000;

interface Result {
  readonly fault: string;
  readonly way: string;
  /** From the fault to the first decision that began after it, at the instance that had to wait longest. */
  readonly firstMs: number;
  /** The slowest decision that began within a second of the fault. */
  readonly slowestMs: number;
  /** The median of the decisions that began during the fault. */
  readonly medianMs: number;
  readonly degraded: number;
  readonly failed: number;
  /** What Redis counts after the recovery, minus what was admitted until then. */
  readonly drift: number;
  /** Units admitted beyond the quota in the end. */
  readonly over: number;
}

async function measure(fault: Fault, way: Way): Promise<Result> {
  progress(`${fault.name}: ${way.name}`);
  await using server = await startRedis();
  await using stack = new AsyncDisposableStack();
  const proxies: FaultProxy[] = [];
  const contenders: Contender[] = [];
  for (let i = 0; i < INSTANCES; i++) {
    const proxy = stack.adopt(await openFaultProxy(server.port), (each) => each.close());
    const contender = stack.adopt(await way.open(proxy.port), (each) => each.close().catch(() => {}));
    proxies.push(proxy);
    contenders.push(contender);
  }
  // Awaited here: what is opened above is disposed of when this function returns.
  return await underLoad(fault, way, { server, proxies }, contenders);
}

async function underLoad(fault: Fault, way: Way, site: Site, contenders: readonly Contender[]): Promise<Result> {
  const load = new Load(contenders, CALLERS);
  await load.run(EVERY_MS, BEFORE_MS);
  await fault.begin(site);
  const faultMs = performance.now();
  await load.run(EVERY_MS, fault.lastsMs);
  const overMs = performance.now();
  await fault.end(site);
  await load.run(RECOVERY_EVERY_MS, RECOVERY_MS);
  await load.settle();
  const drift = (await way.count(site.server.control)) - load.admitted;
  await load.run(REST_EVERY_MS, REST_MS, CALLS);
  await load.settle();

  const decided = load.seen.filter(({ beganMs, outcome }) => beganMs >= faultMs && outcome !== "failed");
  const tookMs = ({ beganMs, endedMs }: Seen) => endedMs - beganMs;
  const until = (endMs: number) => decided.filter(({ beganMs }) => beganMs < endMs).map(tookMs);
  const firsts = contenders.map((_, i) =>
    Math.min(...decided.filter(({ instance }) => instance === i).map(({ endedMs }) => endedMs - faultMs)),
  );
  return {
    fault: fault.name,
    way: way.name,
    firstMs: Math.max(...firsts),
    slowestMs: Math.max(...until(Math.min(faultMs + 1_000, overMs))),
    medianMs: median(until(overMs)),
    degraded: load.seen.filter(({ degraded }) => degraded).length,
    failed: load.seen.filter(({ outcome }) => outcome === "failed").length + load.unanswered,
    drift,
    over: load.admitted - QUOTA,
  };
}

const COLUMNS = [
  "fault",
  "contender",
  "first decision, ms",
  "slowest of the first second, ms",
  "median during the fault, ms",
  "degraded",
  "failed",
  "count after recovery",
  "over the quota",
];

function rowOf(result: Result): string[] {
  const { fault, way, firstMs, slowestMs, medianMs, degraded, failed, drift, over } = result;
  const ms = [firstMs, slowestMs, medianMs].map((value) => {
    return Number.isFinite(value) ? value.toFixed(value < 10 ? 1 : 0) : "none";
  });
  const signed = [drift, over].map((value) => (value > 0 ? `+${number(value)}` : number(value)));
  return [fault, way, ...ms, number(degraded), number(failed), ...signed];
}

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    only: { type: "string", default: "" },
  },
});
if (values.write && values.only !== "") throw new Error("--write needs all faults: leave out --only");
const faults = FAULTS.filter(({ name }) => name.includes(values.only));
if (faults.length === 0) throw new Error(`--only: there is no fault ${values.only}`);
boundRun(MAX_MINUTES);
const engine = serverVersions().redis ?? "Redis";
const about = circumstances("npm run bench:outage --", engine, ["tollgate", PEER, "ioredis"]);
const results: Result[] = [];
for (const fault of faults) for (const way of WAYS) results.push(await measure(fault, way));

const work = `${number(CALLS)} calls of one session with a quota of ${number(QUOTA)} in 10 minutes, by ${CALLERS} callers through ${INSTANCES} instances`;
const page = `# Redis away, side by side

One run of the command below writes this page.

${aboutLines(about, work)}

${table(COLUMNS, results.map(rowOf))}

What was done. Each line has a Redis that keeps nothing on disk, and ${INSTANCES} new instances in one process. Each instance
has an ioredis client (\`enableOfflineQueue: false\`, reconnecting each 100 ms) through a proxy of its own, and gets a call
every ${EVERY_MS} ms if one of its callers is free. The fault begins after ${BEFORE_MS} ms. After it, each instance gets a call every
${RECOVERY_EVERY_MS} ms for ${number(RECOVERY_MS)} ms. Then nothing is in flight, and the counts are compared. Then the rest of ${number(CALLS)} calls follows.

What the columns mean. "First decision" is the time from the fault to the first decision that began after it, at the
instance that had to wait longest. A call that was neither allowed nor denied is "failed", and in no other column.
"Degraded" counts the answers that say that they were given without Redis; those of ${PEER} never do. "Count after
recovery" is Redis' count minus what was admitted until then: below 0 calls were lost, above 0 calls were counted that
did not run. "Over the quota" is what all instances admitted in the end, minus ${number(QUOTA)}.

What they do not mean. This is one run: a few ms more or less mean nothing. How much is admitted beyond the quota depends
on how long the fault lasts and how much is asked for meanwhile.

Tollgate has its defaults, by which it learns every few seconds how many instances there are; the second setting gives it
the number. The peer gets the number by its settings. ${PEER} has \`rejectIfRedisNotReady\` and an
\`insuranceLimiter\`, a \`RateLimiterMemory\` with the quota divided by the instances; in its second setting also
\`RLWrapperTimeouts\` of ${DEADLINE_MS} ms, which is how long Tollgate waits by default. Its key counts denied calls, too. Until the
counts are compared, Redis has denied none; otherwise the run fails.
`;
console.log(values.json ? JSON.stringify({ about, results }) : page);
if (values.write) writeFileSync(new URL("RESULTS-outage.md", import.meta.url), page);
