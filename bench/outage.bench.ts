// Redis away, beside rate-limiter-flexible: the same load and the same faults, and what each of them admits, how fast, and
// what the counts are worth afterwards. It holds no figure: each is measured in the run that prints it. It starts a Redis
// of its own for each of them.

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type FaultProxy, openFaultProxy } from "../test/chaos/fault-proxy-server.ts";
import { aboutLines, circumstances, median, number, progress, table } from "./harness.ts";
import { type Contender, DEADLINE_MS, INSTANCES, PEER, QUOTA, WAYS, type Way } from "./outage/contenders.ts";
import { FAULTS, type Fault } from "./outage/faults.ts";
import { Load, type Seen } from "./outage/load.ts";
import { type MortalRedis, startMortalRedis } from "./outage/redis-server.ts";

const CALLERS = 64;
const EVERY_MS = 5;
const BEFORE_MS = 400;
/** After the fault there is little load for a while, then none, and the counts are compared. */
const RECOVERY_MS = 1_200;
const RECOVERY_EVERY_MS = 100;
/** Then the rest of the quota is asked for, and more. */
const CALLS = 3_000;
const REST_EVERY_MS = 1;
const REST_MS = 5_000;

/** What a fault came to. All `ms` from `performance.now()`. */
interface Result {
  readonly fault: string;
  readonly way: string;
  /** From the fault to the first decision that began after it, at the instance that had to wait longest. */
  readonly firstMs: number;
  /** The slowest decision that began within a second of the fault. */
  readonly slowestMs: number;
  /** The median of the decisions that began while the fault lasted. */
  readonly medianMs: number;
  readonly degraded: number;
  readonly failed: number;
  /** What Redis counts more (or less) after the recovery than was admitted until then. */
  readonly drift: number;
  /** Units admitted beyond the quota in the end. */
  readonly over: number;
}

async function suffer(fault: Fault, way: Way): Promise<Result & { readonly version: string }> {
  const server = await startMortalRedis();
  const proxies: FaultProxy[] = [];
  const contenders: Contender[] = [];
  try {
    for (let i = 0; i < INSTANCES; i++) {
      const proxy = await openFaultProxy(server.port);
      proxies.push(proxy);
      contenders.push(await way.open(proxy.port));
    }
    return { ...(await underLoad(fault, way, server, proxies, contenders)), version: server.version };
  } finally {
    await Promise.allSettled(contenders.map((contender) => contender.close()));
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await server.stop();
  }
}

async function underLoad(
  fault: Fault,
  way: Way,
  server: MortalRedis,
  proxies: readonly FaultProxy[],
  contenders: readonly Contender[],
): Promise<Result> {
  const place = { server, proxies };
  const load = new Load(contenders, CALLERS);
  await load.run(EVERY_MS, BEFORE_MS);
  await fault.begin(place);
  const faultMs = performance.now();
  await load.run(EVERY_MS, fault.lastsMs);
  const overMs = performance.now();
  await fault.end(place);
  await load.run(RECOVERY_EVERY_MS, RECOVERY_MS);
  await load.settle();
  const drift = (await way.count(server.control)) - load.admitted;
  await load.run(REST_EVERY_MS, REST_MS, CALLS);
  await load.settle();
  const decided = load.seen.filter(({ beganMs, outcome }) => beganMs >= faultMs && outcome !== "failed");
  const within = (endMs: number) => decided.filter(({ beganMs }) => beganMs < endMs).map(tookMs);
  const firsts = contenders.map((_, i) => {
    const own = decided.filter(({ instance }) => instance === i).map(({ endedMs }) => endedMs - faultMs);
    return Math.min(...own);
  });
  return {
    fault: fault.name,
    way: way.name,
    firstMs: Math.max(...firsts),
    slowestMs: Math.max(...within(Math.min(faultMs + 1_000, overMs))),
    medianMs: median(within(overMs)),
    degraded: load.seen.filter(({ degraded }) => degraded).length,
    failed: load.seen.filter(({ outcome }) => outcome === "failed").length + load.unanswered,
    drift,
    over: load.admitted - QUOTA,
  };
}

const tookMs = ({ beganMs, endedMs }: Seen) => endedMs - beganMs;

async function measure(only: string | undefined) {
  const faults = FAULTS.filter(({ name }) => only === undefined || name.includes(only));
  if (faults.length === 0) throw new Error(`there is no fault ${only}`);
  let version = "unknown";
  const begun = circumstances("node --conditions=tollgate-source bench/outage.bench.ts", "", [
    "tollgate",
    PEER,
    "ioredis",
  ]);
  const results: Result[] = [];
  for (const fault of faults) {
    for (const way of WAYS) {
      progress(`${fault.name}: ${way.name}`);
      const result = await suffer(fault, way);
      version = result.version;
      results.push(result);
    }
  }
  return { about: { ...begun, engine: `Redis ${version}` }, results };
}

type Measured = Awaited<ReturnType<typeof measure>>;

const HEAD = [
  "fault",
  "contender",
  "first decision, ms",
  "slowest of the first second, ms",
  "median while away, ms",
  "said to be degraded",
  "failed",
  "count after recovery",
  "over the quota",
];
const signed = (value: number) => (value > 0 ? `+${number(value)}` : number(value));
const ms = (value: number) => (Number.isFinite(value) ? value.toFixed(value < 10 ? 1 : 0) : "none");

const tableOf = ({ results }: Measured) =>
  table(
    HEAD,
    results.map((each) => [
      each.fault,
      each.way,
      ms(each.firstMs),
      ms(each.slowestMs),
      ms(each.medianMs),
      number(each.degraded),
      number(each.failed),
      signed(each.drift),
      signed(each.over),
    ]),
  );

const aboutOf = ({ about }: Measured) =>
  aboutLines(
    about,
    `${number(CALLS)} calls of one session with a quota of ${number(QUOTA)} in 10 minutes, by ${CALLERS} callers through ${INSTANCES} instances`,
  );

function pageOf(measured: Measured): string {
  return `# Redis away, side by side

Written by the command below from one run; nothing here is edited by hand.

${aboutOf(measured)}

${tableOf(measured)}

What was done. For each line a Redis that keeps nothing on disk, and ${INSTANCES} new instances in one process, each with an
ioredis client of its own (\`enableOfflineQueue: false\`, connecting again each 100 ms) through a proxy of its own. Each instance gets a call every ${EVERY_MS} ms as long as one of its callers is
free; the fault begins after ${BEFORE_MS} ms. When it has ended, each instance gets a call every ${RECOVERY_EVERY_MS} ms for ${number(RECOVERY_MS)} ms; then
nothing is under way, and counts are compared. Then as many calls follow as are left of ${number(CALLS)}.

What the columns say. "First decision" is the time from the fault to the first decision that began after it, at the
instance that had to wait longest. A call that was neither allowed nor denied is "failed", and in no other column.
"Said to be degraded" counts the answers that say that they were given without Redis; ${PEER}'s never say so.
"Count after recovery" is what Redis counts beyond what was admitted by then: less than 0 was lost, more was counted that
no call was allowed. "Over the quota" is what all instances admitted in the end beyond ${number(QUOTA)}; below 0 they admitted less.

What they do not mean. One run on a busy machine: a few ms more or less say nothing. What was admitted beyond the quota
depends on how long the fault lasts and how much is asked for meanwhile.

Tollgate has the defaults, by which it learns every few seconds how many instances there are, and once more was told; the
peer is told by its settings. ${PEER} has \`rejectIfRedisNotReady\`, and
\`insuranceLimiter\`, a \`RateLimiterMemory\` whose points are the quota divided by the instances; once more within its
\`RLWrapperTimeouts\` of ${DEADLINE_MS} ms, which is what Tollgate waits by default. Its key counts denied calls too; until the
counts are compared, Redis has denied none: otherwise the run fails.
`;
}

const OPTIONS = {
  json: { type: "boolean", default: false },
  only: { type: "string" },
  write: { type: "boolean", default: false },
} as const;

const { json, only, write } = parseArgs({ options: OPTIONS }).values;
if (write && only !== undefined) throw new Error("--write wants all faults: leave out --only");
const measured = await measure(only);
if (write) writeFileSync(new URL("RESULTS-outage.md", import.meta.url), pageOf(measured));
console.log(json ? JSON.stringify(measured) : `${aboutOf(measured)}\n\n${tableOf(measured)}`);
