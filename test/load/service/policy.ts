// The limits of the load. Each is within the next: a turn's tool within the session's tool within the tenant. So the number of
// calls that can pass is one number, whatever the order in which they come; ledger.ts counts it.

import { COHORT, type Trace } from "./trace.ts";

export type LimitName = "tool-per-turn" | "tool-per-session" | "tenant-budget";
export type Quotas = Readonly<Record<LimitName, number>>;

const PER_TURN = 2;
const PER_SESSION = 3;
/** A tenant's budget is what so many of its sessions use on average: too little for a large one, enough for a small one. */
const SESSIONS_OF_A_BUDGET = 20;

/** Such that about half of a trace's calls are denied, and each of the limits denies some. */
export function quotasFor({ sessions }: Trace): Quotas {
  const passing = sessions.reduce((sum, session) => sum + passingOf(session), 0);
  return {
    "tool-per-turn": PER_TURN,
    "tool-per-session": PER_SESSION,
    "tenant-budget": Math.round((passing / sessions.length) * SESSIONS_OF_A_BUDGET),
  };
}

function passingOf(session: Trace["sessions"][number]): number {
  let passing = 0;
  for (const calls of Map.groupBy(session, ({ tool }) => tool).values()) {
    const turns = [...Map.groupBy(calls, ({ turn }) => turn).values()];
    passing += Math.min(
      PER_SESSION,
      turns.reduce((sum, turn) => sum + Math.min(PER_TURN, turn.length), 0),
    );
  }
  return passing;
}

/** While the store is away nothing is admitted: a stall of the machine must not make an exact count inexact. */
export function policyText(quotas: Quotas): string {
  const limit = (name: LimitName, per: string) =>
    `  - { name: ${name}, per: [${per}], quota: ${quotas[name]}, resetAfterIdle: 1h, onStoreError: deny }`;
  return [
    "version: 1",
    "limits:",
    limit("tool-per-turn", "session, turn, tool"),
    limit("tool-per-session", "session, tool"),
    limit("tenant-budget", "tenant"),
    "",
  ].join("\n");
}

/** In words, for the page. */
export const aboutPolicy = (quotas: Quotas) =>
  `${PER_TURN} calls per session, turn and tool; ${PER_SESSION} per session and tool; ${quotas["tenant-budget"]} per tenant ` +
  `(of ${COHORT.large} or ${COHORT.sessions - COHORT.large} sessions)`;
