// How long a simulation takes for a million calls: to decide them, under several policies, and to read them from a trace. Beside
// it stands what the counting of the first policy alone takes, in one Map by hand. The last column is how many times as long the
// simulation may take; the command fails where it takes longer. Seconds say how fast the machine's memory is, too.
//
// npm run bench:simulate

import { compiledPolicy } from "../src/kernel/policy/parse.ts";
import type { PolicyInput } from "../src/kernel/policy/input.ts";
import { policyIn, SAMPLE_POLICY } from "../src/cli/defaults.ts";
import { simulate, timelineOf } from "../src/simulate/simulate.ts";
import { Tally } from "../src/simulate/tally.ts";
import { parseTrace } from "../src/simulate/trace.ts";
import { syntheticTrace } from "../test/e2e/traces.ts";
import { number, table } from "./harness.ts";

const CALLS = 1_000_000;
const MOST_TIMES = 6;

const perTurn: PolicyInput = {
  version: 1,
  limits: [
    { name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 3, resetAfterIdle: "1h" },
    { name: "tool-per-session", per: ["session", "tool"], quota: 5, resetAfterIdle: "24h" },
  ],
};
const money: PolicyInput = {
  version: 1,
  tools: { search: { cost: { usd_micros: 2_000 } } },
  limits: [
    ...perTurn.limits,
    { name: "money", per: ["session"], unit: "usd_micros", quota: 20_000 },
    { name: "running", per: ["session"], algorithm: "concurrency", quota: 4 },
  ],
};
const policies = [
  { name: "two limits", policy: compiledPolicy(perTurn), most: MOST_TIMES },
  { name: "the sample policy: five limits, one of arguments", policy: policyIn(SAMPLE_POLICY), most: null },
  { name: "money and calls under way", policy: compiledPolicy(money), most: null },
];

/** A trace of so many calls: sessions as agents make them, again and again under other names, some calls repeated. */
function traceText(count: number): string {
  const lines: string[] = [];
  for (let round = 0; lines.length < count; round++) {
    for (const [i, { session, turn, tool }] of syntheticTrace(round, 500).entries()) {
      if (lines.length === count) break;
      const at = 1_700_000_000_000 + lines.length * 3;
      const call = { session: `${session}-${round}`, turn, tool, user: `u${i % 100}`, tenant: `t${i % 7}` };
      lines.push(JSON.stringify({ ...call, args: { query: `item ${i % 5}`, page: i % 3 }, at }));
    }
  }
  return lines.join("\n");
}

async function secondsOf(work: () => unknown): Promise<number> {
  const { user, system } = process.cpuUsage();
  await work();
  const after = process.cpuUsage({ user, system });
  return (after.user + after.system) / 1e6;
}

let text = traceText(CALLS);
const trace: { calls: ReturnType<typeof parseTrace> } = { calls: [] };
const reading = await secondsOf(() => {
  trace.calls = parseTrace(text, "trace");
});
text = "";
const { calls } = timelineOf(trace.calls);
console.log(`read ${number(calls.length)} lines: ${reading.toFixed(2)} s of processor time\n`);

/** The limits of `perTurn`, counted by hand. */
function countedByHand(traced: typeof calls): number {
  const counts = new Map<string, { readonly used: number; readonly expiresAtMs: number }>();
  let denied = 0;
  for (const { call, atMs } of traced) {
    const turnKey = `bare:tool-per-turn:${call.session}:${call.turn}:${call.tool}`;
    const sessionKey = `bare:tool-per-session:${call.session}:${call.tool}`;
    const inTurn = counts.get(turnKey)?.used ?? 0;
    const inSession = counts.get(sessionKey)?.used ?? 0;
    if (inTurn >= 3 || inSession >= 5) {
      denied++;
      continue;
    }
    counts.set(turnKey, { used: inTurn + 1, expiresAtMs: Number(atMs) + 3_600_000 });
    counts.set(sessionKey, { used: inSession + 1, expiresAtMs: Number(atMs) + 86_400_000 });
  }
  return denied;
}

const rows: string[][] = [];
let handSeconds = Number.NaN;
async function measure(name: string, most: number | null, work: () => Promise<number> | number): Promise<void> {
  const started = performance.now();
  let denied = 0;
  const cpu = await secondsOf(async () => {
    denied = await work();
  });
  const wall = (performance.now() - started) / 1_000;
  if (rows.length === 0) handSeconds = cpu;
  const times = cpu / handSeconds;
  if (most !== null && times > most) process.exitCode = 1;
  rows.push([
    name,
    wall.toFixed(2),
    cpu.toFixed(2),
    number(denied),
    times.toFixed(2),
    most === null ? "" : String(most),
  ]);
}

await measure("two limits, counted by hand", null, () => countedByHand(calls));
for (const { name, policy, most } of policies) {
  await measure(name, most, async () => {
    const tally = new Tally(policy);
    await simulate([policy], calls, (traced, [decision]) => void (decision && tally.add(traced, decision)));
    return tally.result().denied;
  });
}
console.log(table(["policy", "s", "s of processor", "denied", "times by hand", "at most"], rows));
