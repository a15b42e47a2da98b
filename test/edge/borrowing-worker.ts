// The Worker of the tests of borrowing: one isolate drives calls into others, each of which has a limiter of its own on one
// object.

import { env } from "cloudflare:workers";
import { durableObjectStore, type ObjectNamespace } from "../../src/edge/edge.ts";
import { sleep } from "../../src/clock.ts";
import { createLimiter, type Limiter } from "../../src/limiter.ts";
import type { PolicyInput } from "../../src/kernel/policy/input.ts";
import { answerOf, type Routes } from "./routes.ts";

export { TestObject } from "./test-object.ts";

interface Isolate {
  fetch(
    url: string,
    options: { method: string; body: string; signal?: AbortSignal },
  ): Promise<{ json(): Promise<unknown> }>;
}

interface Stub {
  decide(batch: string): Promise<string>;
}

const bindings = env as Record<string, unknown>;
const namespace = bindings.TOLLGATE as ObjectNamespace;

/** How many messages this isolate has sent to objects. */
let sent = 0;
/** How far the objects are away, ms. */
let awayMs = 0;
const counted: ObjectNamespace = {
  idFromName: (name) => namespace.idFromName(name),
  get(id, options) {
    const stub = namespace.get(id, options) as Stub;
    return {
      async decide(batch: string) {
        sent++;
        if (awayMs === 0) return stub.decide(batch);
        await sleep(awayMs / 2);
        const reply = await stub.decide(batch);
        await sleep(awayMs / 2);
        return reply;
      },
    };
  },
};

const limiters = new Map<string, Limiter>();

function limiterFor(policy: PolicyInput, failover: Call["failover"] = false): Limiter {
  const key = JSON.stringify([policy, failover]);
  const known = limiters.get(key);
  if (known !== undefined) return known;
  const store = durableObjectStore({ namespace: counted, failover });
  const limiter = createLimiter({ policy, store }) as Limiter;
  limiters.set(key, limiter);
  return limiter;
}

interface Call {
  readonly policy: PolicyInput;
  readonly failover?: { readonly isolates: number } | false;
  readonly tool: string;
  readonly session: string;
}

/** What an isolate is asked for. */
const routes: Routes = {
  async call({ policy, failover, ...call }: Call) {
    const { allowed, retryAfterMs, degraded } = await limiterFor(policy, failover).consume(call);
    return { allowed, retryAfterMs, degraded };
  },

  used: async ({ policy, failover, ...call }: Call) => (await limiterFor(policy, failover).usage(call))[0]?.used,

  sent: () => sent,

  /** Lets the object of a name fail, or answer again. */
  async fault({ name, fault }: { name: string; fault: "fails" | null }) {
    const object = namespace.get(namespace.idFromName(name)) as { setFault(fault: string | null): Promise<void> };
    await object.setFault(fault);
  },

  away(ms: number) {
    awayMs = ms;
  },

  /** Calls of each isolate at a pace, until the time is over or one was denied. */
  async drive({
    isolates,
    perSecond,
    lanes,
    forMs,
    untilDenied = false,
    sessions = 1,
    ...call
  }: Drive): Promise<Driven> {
    const counts: Driven = { allowed: 0, denied: 0, failed: 0, allowedAtFirstDenial: null, longestRetryMs: 0 };
    const begunMs = Date.now();
    let n = 0;
    const made = new Set<Promise<void>>();
    for (let nowMs = begunMs; nowMs - begunMs < forMs; nowMs = Date.now()) {
      if (untilDenied && counts.denied > 0) break;
      for (const due = ((nowMs - begunMs) / 1_000) * perSecond; n < due && made.size < lanes; n++) {
        const body = { ...call, session: `s${n % sessions}` };
        const answering: Promise<void> = ask(isolates[n % isolates.length] as number, "call", body)
          .then((answer) => count(counts, answer as Answer))
          .catch(() => {
            counts.failed++;
          })
          .finally(() => made.delete(answering));
        made.add(answering);
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(made);
    return counts;
  },

  /** Makes calls of an isolate, and leaves before they are answered. Returns whether one was. */
  async leave({ isolate, calls, afterMs, ...call }: Call & { isolate: number; calls: number; afterMs: number }) {
    const signal = () => AbortSignal.timeout(afterMs);
    const left = Array.from({ length: calls }, () => ask(isolate, "call", call, signal()).catch(() => null));
    return (await Promise.all(left)).some((answer) => answer !== null);
  },

  to: ({ isolate, route, body }: { isolate: number; route: string; body: unknown }) => ask(isolate, route, body),
};

interface Drive extends Call {
  readonly isolates: readonly number[];
  readonly perSecond: number;
  /** Most calls at a time. */
  readonly lanes: number;
  readonly forMs: number;
  readonly untilDenied?: boolean;
  readonly sessions?: number;
}

export interface Driven {
  allowed: number;
  denied: number;
  failed: number;
  /** How many calls were allowed when the first one was denied. */
  allowedAtFirstDenial: number | null;
  longestRetryMs: number;
}

interface Answer {
  readonly allowed: boolean;
  readonly retryAfterMs: number | null;
}

function count(counts: Driven, { allowed, retryAfterMs }: Answer): void {
  if (allowed) counts.allowed++;
  else {
    counts.denied++;
    counts.allowedAtFirstDenial ??= counts.allowed;
    counts.longestRetryMs = Math.max(counts.longestRetryMs, retryAfterMs ?? Number.POSITIVE_INFINITY);
  }
}

async function ask(isolate: number, route: string, body: unknown, signal?: AbortSignal): Promise<unknown> {
  const to = bindings[`ISOLATE${isolate}`] as Isolate;
  const options = { method: "POST", body: JSON.stringify(body ?? null), ...(signal && { signal }) };
  return (await to.fetch(`http://isolate/${route}`, options)).json();
}

// biome-ignore lint/style/noDefaultExport: the runtime wants it
export default { fetch: (request: Request) => answerOf(routes, request) };
