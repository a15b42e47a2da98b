// A batch as the script takes it: plain numbers, but for names. apply.lua says which.

import { algorithmOf, type LimitSpec } from "../../kernel/algorithms/registry.ts";
import { MARK_KEY, receiptsKey, type Step, type StepEvent, type StoreRequest, type Terms } from "../../store/store.ts";

/** What one script is given: a batch, or a part of one. */
export interface Part {
  readonly requests: readonly StoreRequest[];
  readonly terms: Terms | undefined;
  /** Which part of its batch it is, from 0. */
  readonly part: number;
}

/** KEYS and ARGV of a script call. */
export interface ScriptCall {
  readonly keys: readonly string[];
  /** What goes as one JSON text. */
  readonly values: readonly (number | string | readonly (number | string)[])[];
}

const MODES = { judge: 0, peek: 1, force: 2, undo: 3 } as const;
const [WITH_ONCE, WITH_WAIT, WITH_TIME] = [10, 20, 40];
const [READ, RESET, HOLD, SAME_HOLD, COUNT, REPORT, RAISE, GRANT, SETTLE, EXTEND, REVOKE] = [
  -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11,
];
const NO_OUTCOME = 0;
const [NO_KEY, NO_SHAPE] = [0, 0];
/** Below it sums of costs stay exact, however many there are in a batch. */
const MAX_FAST_COST = 2 ** 40;
/** How many numbers the script takes of each limit, after the one that says which form it is. */
const NUMBERS = 4;
/** A batch's requests mostly have one shape, or a few. */
const MAX_COMPARED = 4;

type Hold = Extract<StepEvent, { type: "hold" }>;

/** Each key, each limit and each shape stands once, and is named by number. */
export function scriptCall({ requests, terms, part }: Part): ScriptCall {
  const keys = new Numbers<string>();
  const limits = new Numbers<LimitSpec>();
  const head = termValues(keys, terms, part);
  const shapes = new Shapes(limits);
  const values: (number | string)[] = [];
  for (const request of requests) {
    const shape = shapes.placeOf(request);
    values.push(shape);
    if (shape === NO_SHAPE) pushRequest(values, request, keys, limits);
    else for (const { bucket } of request.steps) values.push(keys.numberOf(bucket));
  }
  return { keys: keys.items, values: [head, limits.items.flatMap(limitNumbers), shapes.values, values] };
}

/** Things by the order in which they are first named, from 1. */
class Numbers<Item> {
  readonly items: Item[] = [];
  readonly #numbers = new Map<Item, number>();

  numberOf(item: Item): number {
    const known = this.#numbers.get(item);
    if (known !== undefined) return known;
    const number = this.items.push(item);
    this.#numbers.set(item, number);
    return number;
  }
}

/** Limits and costs of plain requests. */
class Shapes {
  readonly values: number[] = [];
  readonly #limits: Numbers<LimitSpec>;
  /** The last ones, latest first: where they stand, and a request of each. */
  readonly #last: { readonly place: number; readonly steps: readonly Step[] }[] = [];

  constructor(limits: Numbers<LimitSpec>) {
    this.#limits = limits;
  }

  /** Where a request's shape stands; `NO_SHAPE` where it is not plain. */
  placeOf({ mode, steps, once, wait, atMs }: StoreRequest): number {
    if (mode !== "judge" || once !== undefined || wait !== undefined || atMs !== undefined) return NO_SHAPE;
    const known = this.#last.find((shape) => isAlike(shape.steps, steps));
    if (known !== undefined) return known.place;
    if (!steps.every(isPlain)) return NO_SHAPE;
    const place = this.values.push(steps.length);
    for (const { limit, event, shadow } of steps) {
      const number = this.#limits.numberOf(limit);
      this.values.push(shadow === true ? -number : number, costOf(event));
    }
    this.#last.unshift({ place, steps });
    this.#last.length = Math.min(this.#last.length, MAX_COMPARED);
    return place;
  }
}

/** Whether a step charges a limit that the script's fast path knows, with numbers that are far from where sums saturate. */
function isPlain({ limit, event }: Step): boolean {
  if (event.type !== "charge" || event.seen !== undefined || event.cost >= MAX_FAST_COST) return false;
  return algorithmOf(limit).wire.isFast(limit);
}

/** Whether steps ask the same as others, which are plain. */
function isAlike(plain: readonly Step[], steps: readonly Step[]): boolean {
  if (plain.length !== steps.length) return false;
  for (const [i, { limit, event, shadow }] of steps.entries()) {
    const other = plain[i] as Step;
    if (limit !== other.limit || shadow !== other.shadow || event.type !== "charge") return false;
    if (event.seen !== undefined || event.cost !== costOf(other.event)) return false;
  }
  return true;
}

function costOf(event: StepEvent): number {
  return event.type === "charge" ? event.cost : 0;
}

function termValues(keys: Numbers<string>, terms: Terms = {}, part: number): (number | string)[] {
  const { notAfterMs = Number.MAX_SAFE_INTEGER, incarnation, receipt } = terms;
  if (Object.keys(terms).length === 0) return [];
  const mark = incarnation === undefined ? [NO_KEY, ""] : [keys.numberOf(MARK_KEY), incarnation];
  if (receipt === undefined) return [notAfterMs, ...mark, NO_KEY, 0, 0, 0, 0];
  const { instance, number, from, closes = false } = receipt;
  return [notAfterMs, ...mark, keys.numberOf(receiptsKey(instance)), number, part, from, closes ? 1 : 0];
}

function pushRequest(
  values: (number | string)[],
  { mode, steps, once, wait, atMs }: StoreRequest,
  keys: Numbers<string>,
  limits: Numbers<LimitSpec>,
): void {
  const isOnce = once !== undefined && mode !== "peek";
  const waits = wait === undefined ? 0 : WITH_WAIT;
  values.push(MODES[mode] + (isOnce ? WITH_ONCE : 0) + waits + (atMs === undefined ? 0 : WITH_TIME));
  if (isOnce) values.push(keys.numberOf(once.key), once.request);
  if (wait !== undefined) values.push(wait.id, wait.maxMs);
  if (atMs !== undefined) values.push(atMs);
  values.push(steps.length);
  let made: Hold | undefined;
  for (const { bucket, limit, event, shadow } of steps) {
    const number = limits.numberOf(limit);
    values.push(keys.numberOf(bucket), shadow === true ? -number : number);
    pushEvent(values, event, made);
    if (event.type === "hold") made = event;
  }
}

/** A request mostly makes one and the same hold in all its buckets: `made` is its last. */
function pushEvent(values: (number | string)[], event: StepEvent, made: Hold | undefined): void {
  switch (event.type) {
    case "charge":
      if (event.seen === undefined) values.push(event.cost);
      else values.push(COUNT, event.seen, event.cost);
      break;
    case "report":
      values.push(REPORT, event.outcome ?? NO_OUTCOME);
      break;
    case "grant":
      values.push(GRANT, event.id, event.units, event.leaseMs);
      break;
    case "raise":
      values.push(RAISE, event.id, event.units, event.atMs, event.keptMs, event.lost === "some" ? 1 : 0);
      break;
    case "read":
      values.push(READ);
      break;
    case "reset":
      values.push(RESET);
      break;
    case "hold":
      if (made !== undefined && isSame(made, event)) values.push(SAME_HOLD);
      else values.push(HOLD, event.id, event.units, event.leaseMs, event.onExpiry === "charge" ? 1 : 0);
      break;
    case "settle":
      values.push(SETTLE, event.id, event.units);
      break;
    case "extend":
      values.push(EXTEND, event.id, event.leaseMs);
      break;
    case "revoke":
      values.push(REVOKE, event.id);
      break;
  }
}

function isSame(one: Hold, other: Hold): boolean {
  const { id, units, leaseMs, onExpiry } = one;
  return id === other.id && units === other.units && leaseMs === other.leaseMs && onExpiry === other.onExpiry;
}

/** The code of a limit's form, and its numbers, as many for each limit. */
function limitNumbers(limit: LimitSpec): number[] {
  const [{ code }, ...numbers] = algorithmOf(limit).wire.numbersOf(limit);
  return [code, ...numbers, ...new Array<number>(NUMBERS - numbers.length).fill(0)];
}
