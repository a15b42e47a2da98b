// What has still to be booked: units that were admitted while the store was away, and batches without an answer. It is in
// memory, and in the journal if there is one, before a caller gets its answer. Batches get their numbers here. Numbers are
// never used again: a restarted process is another instance.

import { algorithmOf, type LimitSpec, type SpentState } from "../../kernel/algorithms/registry.ts";
import type { Step, StoreRequest } from "../../kernel/request.ts";
import { StoreError } from "../../store/error.ts";
import type { ReceiptTerms } from "../../store/shared-store.ts";
import { endsCall } from "../../store/room.ts";

/** How many rows of receipts an instance has: batches that are under way together do not lock each other's row. */
const RECEIPT_ROWS = 4;

/** Most sums and requests together. One more is not admitted. Ends of calls may use as many again. */
export const MAX_BACKLOG = 100_000;
/** An older batch may have lost its receipt: it cannot be booked exactly once any more. */
export const MAX_AGE_MS = 86_400_000;

/** Where the backlog outlives the process. */
export interface Journal {
  /** What was put and not removed, in the order in which its keys were first put. */
  entries(): Iterable<readonly [key: string, text: string]>;
  /** Changes entries, all or none: `null` removes one. What is done when this returns outlives the process. */
  write(changes: ReadonlyMap<string, string | null>): void;
  close(): void;
}

/** A batch to settle: requests that must be booked (`force`), must not be (`undo`), or do not matter (`peek`). */
export interface OpenBatch {
  readonly instance: string;
  readonly number: number;
  /** When it was made, epoch ms. */
  readonly openedAtMs: number;
  readonly requests: readonly StoreRequest[];
}

/**
 * What a closing batch does with a request that had no answer: book it, undo it, or nothing.
 *
 * @param isAdmitted whether its caller may go on
 * @param atMs when that was decided, by the store's time
 */
export function settledBy(request: StoreRequest, isAdmitted: boolean, atMs: number): StoreRequest {
  const { wait, ...asked } = request;
  if (request.mode === "peek") return asked;
  if (isAdmitted || request.mode === "force") return { ...asked, mode: "force", atMs };
  // A place in a queue is found by its id.
  return { ...asked, mode: "undo", ...(wait === undefined ? {} : { wait }) };
}

/** Plain charges of one bucket in one window of one limit. */
interface Sum {
  /** The sum that was changed last is booked last: a state of another algorithm replaces the one that is there. */
  readonly order: number;
  readonly step: Pick<Step, "bucket" | "limit"> & { readonly seen?: string };
  readonly units: number;
  readonly atMs: number;
  /** Of a token bucket: what has not flowed back, at the rate of this instance's share. */
  readonly level?: { readonly limit: LimitSpec; readonly state: SpentState };
}

/** The bookings that wait for the store, and the numbers of batches. */
export class Backlog {
  /** Under which its batches are numbered. */
  #instance: string;
  #renamed = 0;
  readonly #journal: Journal | undefined;
  #number = 0;
  /** Numbers of batches that are under way, and were not doubted yet. */
  readonly #sent = new Set<number>();
  readonly #sums = new Map<string, Sum>();
  readonly #requests = new Map<string, StoreRequest>();
  readonly #batches = new Map<string, OpenBatch>();
  #serial = 0;

  constructor(instance: string, journal: Journal | undefined) {
    this.#instance = instance;
    this.#journal = journal;
    for (const [key, text] of journal?.entries() ?? []) this.#load(key, text);
  }

  /** Whether there is nothing to book. */
  get isEmpty(): boolean {
    return this.#sums.size === 0 && this.#requests.size === 0 && this.#batches.size === 0;
  }

  /** Whether it outlives the process. */
  get isKept(): boolean {
    return this.#journal !== undefined;
  }

  /** How many bookings there are. */
  get count(): number {
    return [...this.bookings()].length;
  }

  /** How many sums and requests have not been made into batches. */
  get size(): number {
    return this.#sums.size + this.#requests.size;
  }

  /** Batches to settle, in the order of their numbers. */
  get batches(): OpenBatch[] {
    return [...this.#batches.values()].sort((one, other) => one.number - other.number);
  }

  /** All that was admitted. */
  *bookings(): Generator<StoreRequest> {
    for (const sum of this.#sums.values()) yield bookingOf(sum, sum.units, sum.atMs);
    yield* this.#requests.values();
    for (const { requests } of this.batches) yield* requests.filter(({ mode }) => mode === "force");
  }

  /**
   * Takes what was admitted, of plain charges by their sum.
   *
   * @param locals the limits by which the request's steps were judged here
   * @throws StoreError `overloaded`
   */
  add(request: StoreRequest, atMs: number, locals: readonly LimitSpec[]): void {
    if (this.size + request.steps.length > (endsCall(request) ? 2 * MAX_BACKLOG : MAX_BACKLOG)) {
      throw new StoreError("overloaded", `the store is away, and ${MAX_BACKLOG} bookings wait for it`, {
        transient: true,
      });
    }
    const isPlain = request.once === undefined && request.steps.every(({ event }) => event.type === "charge");
    const changes = new Map<string, string | null>();
    if (isPlain) {
      for (const [i, step] of request.steps.entries()) this.#sum(changes, step, atMs, locals[i] ?? step.limit);
    } else {
      const { wait: _, ...kept } = request;
      const key = `request/${++this.#serial}`;
      const booked: StoreRequest = { ...kept, mode: "force", atMs };
      this.#requests.set(key, booked);
      changes.set(key, JSON.stringify(booked));
    }
    this.#journal?.write(changes);
  }

  /** The receipt for a batch that is sent now. */
  send(): ReceiptTerms {
    const number = ++this.#number;
    this.#sent.add(number);
    return this.#receipt(this.#instance, number);
  }

  /** A batch was answered. */
  answered(number: number): void {
    this.#sent.delete(number);
  }

  /** A batch was not answered: `requests` say what must become of it. */
  doubt(number: number, requests: readonly StoreRequest[], atMs: number): void {
    this.#sent.delete(number);
    const batch = { instance: this.#instance, number, openedAtMs: atMs, requests };
    const key = keyOf(batch);
    this.#batches.set(key, batch);
    this.#journal?.write(new Map([[key, JSON.stringify(batch)]]));
  }

  /** The receipt for a batch that is settled now. */
  closing({ instance, number }: OpenBatch): ReceiptTerms {
    return { ...this.#receipt(instance, number), closes: true };
  }

  /**
   * Numbers batches under another instance name from now on, because the receipts of the old name are damaged: they say that
   * batches are settled that were never sent. No batch may be under way.
   */
  rename(): void {
    this.#instance = `${this.#instance.split("~")[0]}~${++this.#renamed}`;
  }

  /** Forgets a batch that is settled. */
  settle(batch: OpenBatch): void {
    const key = keyOf(batch);
    this.#batches.delete(key);
    this.#journal?.write(new Map([[key, null]]));
  }

  /** Makes batches of all that has been gathered. */
  cut(size: number, nowMs: number): void {
    const changes = new Map<string, string | null>();
    const keys = [...this.#sums.keys(), ...this.#requests.keys()];
    const requests = [
      ...[...this.#sums.values()].sort((one, other) => one.order - other.order).flatMap((sum) => leftOf(sum, nowMs)),
      ...[...this.#requests.values()].map((request) => remaining(request, nowMs)),
    ];
    for (const key of keys) changes.set(key, null);
    for (let first = 0; first < requests.length; first += size) {
      const batch = {
        instance: this.#instance,
        number: ++this.#number,
        openedAtMs: nowMs,
        requests: requests.slice(first, first + size),
      };
      this.#batches.set(keyOf(batch), batch);
      changes.set(keyOf(batch), JSON.stringify(batch));
    }
    this.#sums.clear();
    this.#requests.clear();
    this.#journal?.write(changes);
  }

  close(): void {
    this.#journal?.close();
  }

  /** All numbers below the lowest open one are settled. */
  #receipt(instance: string, number: number): ReceiptTerms {
    const own = this.batches.filter((batch) => batch.instance === instance).map((batch) => batch.number);
    const from = Math.min(number, ...own, ...(instance === this.#instance ? this.#sent : []));
    return { instance: `${instance}-${number % RECEIPT_ROWS}`, number, from };
  }

  #sum(changes: Map<string, string | null>, { bucket, limit, event }: Step, atMs: number, local: LimitSpec): void {
    if (event.type !== "charge") return;
    const { cost, seen } = event;
    const { needsCost, outage } = algorithmOf(limit);
    if (cost === 0 && needsCost) return;
    const key = JSON.stringify(["sum", bucket, outage.sliceOf(limit, atMs), seen ?? null]);
    const before = this.#sums.get(key);
    const step = { bucket, limit, ...(seen === undefined ? {} : { seen }) };
    const units = seen === undefined ? Math.min((before?.units ?? 0) + cost, Number.MAX_SAFE_INTEGER) : cost;
    const order = ++this.#serial;
    const sum: Sum = {
      order,
      step,
      units,
      atMs,
      ...levelOf(before, cost, atMs, algorithmOf(local).outage.hasRate ? local : limit),
    };
    this.#sums.set(key, sum);
    if (this.#journal !== undefined) changes.set(key, JSON.stringify(sum));
  }

  #load(key: string, text: string): void {
    const value = JSON.parse(text);
    if (key.startsWith("[")) {
      // A file of an earlier version has no order.
      const { order = 0 } = value;
      this.#sums.set(key, { ...value, order });
      this.#serial = Math.max(this.#serial, order);
    } else if (key.startsWith("batch/")) this.#batches.set(key, value);
    else {
      this.#requests.set(key, value);
      this.#serial = Math.max(this.#serial, Number(key.split("/")[1]));
    }
  }
}

function keyOf({ instance, number }: OpenBatch): string {
  return `batch/${instance}/${number}`;
}

/** The state of a bucket whose use drains at the rate of this instance's share. */
function levelOf(before: Sum | undefined, cost: number, atMs: number, limit: LimitSpec): Pick<Sum, "level"> {
  const { outage, book } = algorithmOf(limit);
  return outage.hasRate ? { level: { limit, state: book(limit, before?.level?.state, cost, atMs) } } : {};
}

/** How a sum is booked; nothing where all of it has flowed back. */
function leftOf(sum: Sum, nowMs: number): StoreRequest[] {
  const { units, atMs, level } = sum;
  if (level === undefined) return [bookingOf(sum, units, atMs)];
  const left = algorithmOf(level.limit).used(level.limit, level.state, nowMs);
  return left === 0 ? [] : [bookingOf(sum, left, nowMs)];
}

function bookingOf({ step: { bucket, limit, seen } }: Sum, cost: number, atMs: number): StoreRequest {
  const event = { type: "charge", cost, ...(seen === undefined ? {} : { seen }) } as const;
  return { mode: "force", atMs, steps: [{ bucket, limit, event }] };
}

/** A hold lives for what is left of its lease. */
function remaining(request: StoreRequest, nowMs: number): StoreRequest {
  const goneMs = nowMs - (request.atMs ?? nowMs);
  const steps = request.steps.map((step): Step => {
    const { event } = step;
    if (event.type !== "hold" && event.type !== "extend") return step;
    return { ...step, event: { ...event, leaseMs: Math.max(1, event.leaseMs - goneMs) } };
  });
  return { ...request, steps };
}
