// Clients without their services, while services are without the store: each decision states the bound of who decided, and the two
// bounds add up.

import assert from "node:assert/strict";
import { it } from "node:test";
import { judge } from "./judges/judges.ts";
import { runSchedule } from "./run.ts";
import type { Fault, InstancePlan, PlannedCall, Schedule } from "./schedule.ts";

const CLOCK = { drift: 0, aheadMs: 0 };
const QUOTA = 9;
const SERVICES = [0, 1, 2];
const CLIENTS = [3, 4, 5];
/** Two services do not reach the store, and two clients reach no service. */
const CUT: Fault = {
  type: "network",
  atMs: 2_500,
  forMs: 4_000,
  rules: { losesRequests: 1, losesAnswers: 1, endsConnections: 1, repeats: 0, slowMs: 0 },
  instances: [0, 1, 3, 4],
};

const instanceOf = (role: InstancePlan["role"]): InstancePlan => ({
  role,
  startMs: 10,
  clock: CLOCK,
  hasJournal: false,
});

function calls(instance: number, session: string, atMs: number, count: number): PlannedCall[] {
  const call = { tool: "search", session, turn: "t1", user: "u1" };
  return Array.from({ length: count }, (_, i) => {
    return { id: instance * 1_000 + atMs + i, atMs: atMs + i * 20, instance, verb: "consume", call };
  });
}

const SCHEDULE: Schedule = {
  seed: "both-away",
  settings: {
    deadlineMs: 250,
    batching: { size: 16, underWay: 4 },
    denyCacheMs: 0,
    hasFailover: true,
    knowsInstances: true,
    jitterMs: 0,
    messageMs: [0.2, 1],
  },
  policies: [{ version: 1, limits: [{ name: "session", per: ["session"], quota: QUOTA, resetAfterIdle: "1h" }] }],
  instances: [...SERVICES.map(() => instanceOf("service")), ...CLIENTS.map(() => instanceOf("client"))],
  faults: [CUT],
  calls: [
    ...CLIENTS.flatMap((client) => calls(client, "first", 1_000, 8)),
    ...calls(3, "s1", 3_000, 6),
    ...calls(4, "s1", 3_000, 6),
    ...calls(5, "s1", 3_200, 60),
  ],
  calmAtMs: 12_000,
};

it("admits at most the quota and both bounds while clients and services are cut off at once", async () => {
  const run = await runSchedule(SCHEDULE);
  const decided = run.log.of("decided").filter(({ planned }) => "call" in planned && planned.call.session === "s1");
  const admitted = decided.filter(({ decision }) => decision.allowed);
  const bounds = admitted.map(({ decision }) => decision.degraded?.maxOvershoot ?? 0);
  assert.equal(Math.max(...bounds), QUOTA);
  // All that the store has, and two thirds of it by two services, and by two clients.
  assert.equal(admitted.length, QUOTA + 6 + 6);
  assert.deepEqual(judge(run), []);
});
