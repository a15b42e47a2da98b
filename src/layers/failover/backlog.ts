// What has still to be booked: units that were admitted while the store was away, and batches without an answer. It is in
// memory, and in the journal if there is one, before a caller gets its answer. Batches get their numbers here. Numbers are
// never used again: a restarted process is another instance.

import { algorithmOf } from "../../kernel/algorithms/registry.ts";
import type { Step, StoreRequest } from "../../kernel/request.ts";
import { StoreError } from "../../store/error.ts";
import type { ReceiptTerms } from "../../store/shared-store.ts";
import { endsCall } from "../../store/room.ts";
import { onlyCharges } from "../layer.ts";
import { bookingOf, corrected, inTurn, leftOf, levelOf, type LocalFlow, remaining, type Sum } from "./booking.ts";
import { batchKey, type OpenBatch, parsedEntry, sumKey } from "./entries.ts";
import type { InstanceNames } from "./members.ts";
import type { Journal } from "./options.ts";
import { Room } from "./room.ts";

export type { OpenBatch } from "./entries.ts";

/** How many rows of receipts an instance has: batches that are under way together do not lock each other's row. */
const RECEIPT_ROWS = 4;

/** Most sums and requests together. One more is not admitted. Ends of calls may use as many again. */
export const MAX_BACKLOG = 100_000;
/** An older batch may have lost its receipt: it cannot be booked exactly once any more. */
export const MAX_AGE_MS = 86_400_000;

/** A change of an entry of the journal: `null` removes it. */
type Change = readonly [key: string, value: object | null];

export class Backlog {
  readonly #room: Room;
  readonly #names: Pick<InstanceNames, "instance">;
  #renamed = 0;
  readonly #journal: Journal | undefined;
  #number = 0;
  /** Numbers of batches that are under way, and are not among `#batches`. */
  readonly #sent = new Set<number>();
  readonly #sums = new Map<string, Sum>();
  readonly #requests = new Map<string, StoreRequest>();
  readonly #batches = new Map<string, OpenBatch>();
  /** Keys of sums and requests whose time is a guess. */
  readonly #guessed = new Set<string>();
  /** Changes that the journal did not take. They go with the next write. */
  readonly #unwritten = new Map<string, object | null>();
  /** Numbers sums in the order of their last change, and requests in the order in which they came. */
  #serial = 0;

  /** Throws `invalid-reply` for a damaged journal. */
  constructor(names: Pick<InstanceNames, "instance">, journal: Journal | undefined, room = new Room()) {
    this.#room = room;
    room.join(() => this.looseCount);
    this.#names = names;
    this.#journal = journal;
    for (const [key, text] of journal?.entries() ?? []) this.#load(key, text);
  }

  /** The name under which batches are numbered. */
  get #instance(): string {
    const { instance } = this.#names;
    return this.#renamed === 0 ? instance : `${instance}~${this.#renamed}`;
  }

  get isEmpty(): boolean {
    return this.looseCount === 0 && this.#batches.size === 0;
  }

  /** How many sums and requests have not been made into batches. */
  get looseCount(): number {
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
   * Remembers to book a request that was admitted. Plain charges are added up by bucket and window; other requests are kept whole.
   * When the journal cannot be written, nothing is remembered. Throws `overloaded`, or the journal's error.
   *
   * @param flows how units of the request's steps flow back here
   * @param isGuess whether `atMs` is of this machine's clock, because the store's time is not known yet
   */
  add(request: StoreRequest, atMs: number, flows: readonly LocalFlow[], isGuess = false): void {
    if (this.#room.count + request.steps.length > (endsCall(request) ? 2 * MAX_BACKLOG : MAX_BACKLOG)) {
      const message = `the store is away, and ${MAX_BACKLOG} bookings wait for it`;
      throw new StoreError("overloaded", message, { transient: true });
    }
    if (request.once === undefined && onlyCharges(request.steps)) {
      const sums = request.steps.flatMap((step, i) => this.#sumWith(step, atMs, flows[i]));
      this.#write(sums);
      for (const [key, sum] of sums) this.#sums.set(key, sum);
      if (isGuess) for (const [key] of sums) this.#guessed.add(key);
    } else {
      const { wait: _, ...kept } = request;
      const key = `request/${++this.#serial}`;
      const booked = inTurn(kept, atMs, flows);
      this.#write([[key, booked]]);
      this.#requests.set(key, booked);
      if (isGuess) this.#guessed.add(key);
    }
  }

  /**
   * Takes charges out of the sums that have them. Returns whether it did: not where one of them is in no sum, or flows back by a
   * rate. Throws the journal's error.
   */
  takeBack({ steps, atMs = 0 }: StoreRequest): boolean {
    const changes = new Map<string, Sum | null>();
    for (const step of steps) {
      const { event } = step;
      if (event.type !== "charge" || event.seen !== undefined) return false;
      if (event.cost === 0) continue;
      const key = sumKey(step, atMs);
      const sum = changes.has(key) ? changes.get(key) : this.#sums.get(key);
      if (sum === undefined || sum === null || sum.level !== undefined || sum.units < event.cost) return false;
      changes.set(key, sum.units === event.cost ? null : { ...sum, units: sum.units - event.cost });
    }
    this.#write([...changes]);
    for (const [key, sum] of changes) {
      if (sum !== null) this.#sums.set(key, sum);
      else this.#forgetSum(key);
    }
    return true;
  }

  /** Corrects when everything was admitted whose time was a guess. */
  correct(byMs: number): void {
    for (const key of this.#guessed) {
      const sum = this.#sums.get(key);
      const request = this.#requests.get(key);
      // What has flowed back since is not known by the wrong clock.
      if (sum !== undefined) {
        const { level: _, ...rest } = sum;
        this.#sums.set(key, { ...rest, atMs: sum.atMs + byMs });
      }
      if (request !== undefined) this.#requests.set(key, corrected(request, byMs));
    }
    this.#guessed.clear();
  }

  /** The receipt for a batch that is sent now. */
  nextReceipt(): ReceiptTerms {
    const number = ++this.#number;
    this.#sent.add(number);
    return this.#receipt(this.#instance, number);
  }

  answered(number: number): void {
    this.#sent.delete(number);
  }

  /** A batch was not answered: `requests` say what must become of it. It is remembered also when the journal cannot be written. */
  addDoubtful(number: number, requests: readonly StoreRequest[], atMs: number): void {
    this.#sent.delete(number);
    const batch = { instance: this.#instance, number, openedAtMs: atMs, requests };
    this.#batches.set(batchKey(batch), batch);
    this.#write([[batchKey(batch), batch]]);
  }

  /** Changes what must become of a batch that the journal did not take. */
  replaceDoubtful(number: number, requests: readonly StoreRequest[]): void {
    const batch = [...this.#batches.values()].find(
      (each) => each.instance === this.#instance && each.number === number,
    );
    if (batch === undefined) return;
    const replaced = { ...batch, requests };
    this.#batches.set(batchKey(batch), replaced);
    this.#writeOrKeep([[batchKey(batch), replaced]]);
  }

  /** Whether this process has made a batch. The journal may have others, of earlier processes. */
  isOwn({ instance }: OpenBatch): boolean {
    const own = this.#names.instance;
    return instance === own || instance.startsWith(`${own}~`);
  }

  /** The receipt for a batch that is settled now. */
  closingReceipt({ instance, number }: OpenBatch): ReceiptTerms {
    return { ...this.#receipt(instance, number), closes: true };
  }

  /**
   * Numbers batches under another instance name from now on, because the receipts of the old name are damaged: they say that
   * batches are settled that were never sent. No batch may be under way.
   */
  rename(): void {
    this.#renamed++;
  }

  forget(batch: OpenBatch): void {
    this.#batches.delete(batchKey(batch));
    // If the journal keeps the entry, that does no harm, because the store has closed its number.
    this.#writeOrKeep([[batchKey(batch), null]]);
  }

  /** Writes what the journal did not take before. Another process that reads it would book again what has been booked since. */
  catchUp(): void {
    if (this.#unwritten.size > 0) this.#writeOrKeep([]);
  }

  /**
   * Makes batches of all that is loose. They are booked also when the journal cannot be written, because a full disk must not keep
   * this instance away from its store.
   */
  makeBatches(size: number, nowMs: number): void {
    if (this.looseCount === 0) return;
    const sums = [...this.#sums.values()].sort((one, other) => one.order - other.order);
    const requests = [
      ...sums.flatMap((sum) => leftOf(sum, nowMs)),
      ...[...this.#requests.values()].map((request) => remaining(request, nowMs)),
    ];
    const made: OpenBatch[] = [];
    for (let first = 0; first < requests.length; first += size) {
      const part = requests.slice(first, first + size);
      made.push({ instance: this.#instance, number: ++this.#number, openedAtMs: nowMs, requests: part });
    }
    const gathered = [...this.#sums.keys(), ...this.#requests.keys()].map((key) => [key, null] as const);
    this.#writeOrKeep([...gathered, ...made.map((batch) => [batchKey(batch), batch] as const)]);
    for (const batch of made) this.#batches.set(batchKey(batch), batch);
    this.#sums.clear();
    this.#requests.clear();
  }

  /** Changes entries of the journal, or throws its error. */
  #write(entries: readonly Change[]): void {
    if (this.#journal === undefined) return;
    const changes = new Map([...this.#unwritten, ...entries]);
    const texts = [...changes].map(([key, value]) => [key, value === null ? null : JSON.stringify(value)] as const);
    this.#journal.write(new Map(texts));
    this.#unwritten.clear();
  }

  /** Changes entries of the journal, now or with a later write. */
  #writeOrKeep(entries: readonly Change[]): void {
    try {
      this.#write(entries);
    } catch {
      for (const [key, value] of entries) this.#unwritten.set(key, value);
    }
  }

  /** All numbers below the lowest open one are settled. */
  #receipt(instance: string, number: number): ReceiptTerms {
    let from = number;
    for (const batch of this.#batches.values()) if (batch.instance === instance) from = Math.min(from, batch.number);
    if (instance === this.#instance) for (const sent of this.#sent) from = Math.min(from, sent);
    return { instance: `${instance}-${number % RECEIPT_ROWS}`, number, from };
  }

  #forgetSum(key: string): void {
    this.#sums.delete(key);
    this.#guessed.delete(key);
  }

  /** The sum of a charge and what its bucket was charged before in the window. */
  #sumWith(
    { bucket, limit, event }: Step,
    atMs: number,
    flow: LocalFlow = { limit, endsAtMs: atMs },
  ): [key: string, Sum][] {
    // Only for the compiler: the steps only charge.
    if (event.type !== "charge") return [];
    const { cost, seen } = event;
    if (cost === 0 && algorithmOf(limit).needsCost) return [];
    const key = sumKey({ bucket, limit }, atMs, seen);
    const before = this.#sums.get(key);
    const step = { bucket, limit, ...(seen === undefined ? {} : { seen }) };
    const units = seen === undefined ? Math.min((before?.units ?? 0) + cost, Number.MAX_SAFE_INTEGER) : cost;
    return [[key, { order: ++this.#serial, step, units, atMs, ...levelOf(before, cost, atMs, flow) }]];
  }

  #load(key: string, text: string): void {
    const value = parsedEntry(key, text);
    if ("step" in value) {
      this.#sums.set(key, value);
      this.#serial = Math.max(this.#serial, value.order);
    } else if ("number" in value) this.#batches.set(key, value);
    else {
      this.#requests.set(key, value);
      this.#serial = Math.max(this.#serial, Number(key.split("/")[1]));
    }
  }
}
