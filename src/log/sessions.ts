// What was seen of each session since the last batch.

import type { LoggedCall } from "../limiter.ts";
import type { SessionSum } from "./storage.ts";
import type { Whose } from "./text.ts";

/** Most sessions that wait to be written. What is beyond is in the entries and counts, and not in the list of sessions. */
const MAX_SESSIONS = 8_192;

type Sum = { -readonly [Key in keyof SessionSum]: SessionSum[Key] };

/** What is known of a session, with more of it. */
export function withSession(sum: SessionSum | undefined, more: SessionSum): SessionSum {
  if (sum === undefined) return more;
  return {
    ...sum,
    user: more.user === "" ? sum.user : more.user,
    firstMs: Math.min(sum.firstMs, more.firstMs),
    lastMs: Math.max(sum.lastMs, more.lastMs),
    calls: sum.calls + more.calls,
    denied: sum.denied + more.denied,
    deniedBy: more.deniedBy ?? sum.deniedBy,
  };
}

export class SessionSums {
  #byTenant = new Map<string, Map<string, Sum>>();
  #count = 0;

  add({ decision }: LoggedCall, { session, tenant, user }: Whose): void {
    if (session === "") return;
    const sum = this.#byTenant.get(tenant)?.get(session) ?? this.#enter(session, tenant, decision.decidedAtMs);
    if (sum === null) return;
    if (user !== "") sum.user = user;
    sum.lastMs = Math.max(sum.lastMs, decision.decidedAtMs);
    sum.calls++;
    if (decision.allowed) return;
    sum.denied++;
    sum.deniedBy = decision.deniedBy;
  }

  take(): SessionSum[] {
    const sums = [...this.#byTenant.values()].flatMap((bySession) => [...bySession.values()]);
    this.#byTenant = new Map();
    this.#count = 0;
    return sums;
  }

  #enter(session: string, tenant: string, atMs: number): Sum | null {
    if (this.#count === MAX_SESSIONS) return null;
    this.#count++;
    const sum: Sum = { session, tenant, user: "", firstMs: atMs, lastMs: atMs, calls: 0, denied: 0, deniedBy: null };
    const bySession = this.#byTenant.get(tenant) ?? new Map<string, Sum>();
    this.#byTenant.set(tenant, bySession.set(session, sum));
    return sum;
  }
}
