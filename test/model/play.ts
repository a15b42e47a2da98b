// Plays a schedule on the kernel, which keeps its states as text, and on the model, which checks each reply.

import assert from "node:assert/strict";
import type { LimitSpec } from "../../src/kernel/algorithms/registry.ts";
import { decide, keysOf } from "../../src/kernel/decide.ts";
import { decodeState, encodeState } from "../../src/kernel/encoding/state.ts";
import type { Step, StepEvent, StoreReply, StoreRequest } from "../../src/kernel/request.ts";
import type { StoredState } from "../../src/kernel/state.ts";
import { REMEMBERED_MS } from "./bucket.ts";
import { Model } from "./model.ts";
import { type Draft, START_MS, type Turn } from "./schedule.ts";

type Ids = Record<"hold" | "grant" | "raise", string[]>;

/** What happened so far, as far as later turns name it. */
interface Past {
  /** Of each bucket. */
  readonly ids: readonly Ids[];
  readonly ends: number[];
  /** Bookings that can be undone. */
  booked: { readonly request: StoreRequest; readonly atMs: number }[];
  last: StoreReply | null;
}

function eventOf(draft: Draft, past: Ids, name: string, nowMs: number): StepEvent {
  const { type, units, leaseMs, onExpiry, which } = draft;
  const old = (ids: readonly string[]) => (which === 9 ? undefined : (ids.at(-1 - (which % 3)) ?? ids[0])) ?? "unknown";
  const outcome = which === 9 ? null : `outcome-${which % 2}`;
  switch (type) {
    case "charge":
      return which > 7 && units > 0
        ? { type, cost: units, seen: `000000000000000${units % 3}` }
        : { type, cost: units };
    case "hold":
      return { type, id: `h${name}`, units, leaseMs, onExpiry };
    case "settle":
      return { type, id: old(past.hold), units };
    case "extend":
      return { type, id: old(past.hold), leaseMs };
    case "grant":
      return { type, id: which > 6 ? old(past.grant) : `g${name}`, units, leaseMs };
    case "revoke":
      return { type, id: old(past.grant) };
    case "raise": {
      const id = which > 4 ? old(past.raise) : `r${name}`;
      return {
        type,
        id,
        units,
        atMs: nowMs - (leaseMs % 20),
        keptMs: 4 * leaseMs,
        lost: which % 2 === 0 ? "all" : "some",
      };
    }
    case "report":
      return { type, outcome };
    default:
      return { type: type === "reset" && which > 3 ? "read" : type };
  }
}

/** The kernel on a map, and a model of it. */
class Pair {
  readonly #states = new Map<string, StoredState>();
  readonly #model = new Model();
  /** What was asked and answered. */
  readonly #story: string[] = [];

  apply(request: StoreRequest, nowMs: number): StoreReply {
    const keys = keysOf(request);
    const before = keys.map((key) => this.#states.get(key));
    const { reply, next } = decide(request, before, nowMs);
    if (reply === null) return assert.fail("too many entries");
    this.#story.push(`${nowMs - START_MS} ms: ${JSON.stringify(request)}\n  ${JSON.stringify(reply)}`);
    try {
      this.#model.check(request, nowMs, reply);
    } catch (error) {
      throw new Error(this.#story.join("\n"), { cause: error });
    }
    const isDenied = !reply.allowed && request.mode !== "force" && reply.replay === undefined;
    if (isDenied || request.mode === "peek") assert.equal(next, null);
    for (const [i, key] of keys.entries()) if (next !== null) this.#keep(key, next[i]);
    return reply;
  }

  #keep(key: string, state: StoredState | undefined): void {
    if (state === undefined) this.#states.delete(key);
    else {
      // As stores that keep text read it.
      const read = decodeState(encodeState(state), state.expiresAtMs);
      assert.deepEqual(read, state);
      this.#states.set(key, read ?? state);
    }
  }
}

const newIds = (): Ids => ({ hold: [], grant: [], raise: [] });

/** Plays schedules on two buckets, and counts what happened. */
export class Play {
  readonly #limits: readonly LimitSpec[];
  readonly #pair = new Pair();
  readonly #past: Past = { ids: [newIds(), newIds()], ends: [], booked: [], last: null };
  readonly #count: (what: string) => void;
  #nowMs: number;
  #turns = 0;

  constructor(limits: readonly LimitSpec[], offsetMs: number, count: (what: string) => void) {
    this.#limits = limits;
    this.#nowMs = START_MS + offsetMs;
    this.#count = count;
  }

  take(turn: Turn): void {
    this.#turns++;
    this.#nowMs += this.#waitMs(turn.wait);
    const request = turn.mode === "undo" ? this.#undo(turn) : this.#request(turn);
    if (request === null) return;
    const reply = this.#pair.apply(request, this.#nowMs);
    this.#remember(request, reply);
    this.#tell(request, reply);
    this.#peek(1 + (turn.drafts[0]?.which ?? 0));
  }

  /** Asks whether a charge would pass: if not, the reply says when. */
  #peek(cost: number): void {
    const [limit = assert.fail()] = this.#limits;
    this.#pair.apply({ mode: "peek", steps: [{ bucket: "b0", limit, event: { type: "charge", cost } }] }, this.#nowMs);
  }

  #waitMs(wait: Turn["wait"]): number {
    if (typeof wait === "number") return wait;
    const { ends, last } = this.#past;
    const [what, before] = wait.split(" - ");
    const coming = ends.filter((endMs) => endMs > this.#nowMs);
    const step = last?.steps[0];
    let ms = step?.resetAfterMs ?? 0;
    if (what === "retry") ms = last?.waitMs ?? step?.retryAfterMs ?? 0;
    if (what === "end") ms = coming.length === 0 ? 0 : Math.min(...coming) - this.#nowMs;
    if (what === "forgotten") ms = ends.length === 0 ? 0 : Math.max(...ends) + REMEMBERED_MS - this.#nowMs;
    return Math.max(0, Math.min(ms, REMEMBERED_MS + 500) - Number(before ?? 0));
  }

  #request({ mode, drafts, once, maxWaitMs, lateMs }: Turn): StoreRequest {
    const name = `${this.#turns}`;
    const steps = drafts.map((draft, i): Step => {
      const event = eventOf(draft, this.#past.ids[i] ?? assert.fail(), name, this.#nowMs);
      const step = { bucket: `b${i}`, limit: this.#limits[i] ?? assert.fail(), event };
      return draft.isShadow ? { ...step, shadow: true } : step;
    });
    const isLate = mode === "force" && lateMs !== null;
    return {
      mode,
      steps,
      ...(once === null ? {} : { once: { key: `k${once}`, request: `r${drafts.length}` } }),
      ...(isLate ? { atMs: this.#nowMs - lateMs } : {}),
      ...(maxWaitMs === null || isLate ? {} : { wait: { id: `w${name}`, maxMs: maxWaitMs } }),
    };
  }

  #undo({ drafts: [draft] }: Turn): StoreRequest | null {
    const booked = this.#past.booked.filter(({ request }) => request.steps.every((step, i) => this.#canUndo(step, i)));
    const undone = booked.at(-1 - ((draft?.which ?? 0) % 3)) ?? booked.at(-1);
    if (undone === undefined) return null;
    this.#past.booked = this.#past.booked.filter((each) => each !== undone);
    return { ...undone.request, mode: "undo", atMs: undone.atMs };
  }

  #remember(request: StoreRequest, reply: StoreReply): void {
    const { ids, ends } = this.#past;
    this.#past.last = reply;
    const isBooked = (reply.allowed || request.mode === "force") && request.mode !== "peek" && request.mode !== "undo";
    if (!isBooked || reply.replay !== undefined || reply.stale === true) return;
    for (const [i, { event }] of request.steps.entries()) {
      // What is given back may be what an earlier request has booked.
      if (event.type === "reset" || event.type === "raise") this.#past.booked = [];
      if (event.type === "hold" || event.type === "grant" || event.type === "raise")
        ids[i]?.[event.type].push(event.id);
      if ("leaseMs" in event) ends.push(this.#nowMs + (reply.waitMs ?? 0) + event.leaseMs);
      if (event.type === "charge" && reply.waitMs !== undefined) ids[i]?.hold.push(request.wait?.id ?? "");
    }
    if (reply.waitMs !== undefined) {
      ends.push(this.#nowMs + reply.waitMs);
    } else if (request.atMs === undefined) this.#past.booked.push({ request, atMs: this.#nowMs });
    // What is booked late may stand at the instant of what was booked before.
    else this.#past.booked = [];
  }

  /** Whether the model knows what an undo leaves: in a bucket that flows, the levels after holds do not sink with a charge. */
  #canUndo({ limit, event }: Step, i: number): boolean {
    if (event.type === "hold") return true;
    const isExact = limit.algorithm !== "token-bucket" || this.#past.ids[i]?.hold.length === 0;
    return event.type === "charge" && event.seen === undefined && isExact;
  }

  #tell({ mode, steps }: StoreRequest, { allowed, replay, waitMs, steps: replies }: StoreReply): void {
    this.#count(mode === "undo" ? "undone" : replay !== undefined ? "given again" : allowed ? "allowed" : "denied");
    if (waitMs !== undefined) this.#count("waiting");
    if (replay !== undefined) return;
    for (const [i, { event }] of steps.entries()) {
      const found = replies[i]?.found;
      this.#count(found === undefined ? event.type : `${event.type} ${found}`);
    }
  }
}
