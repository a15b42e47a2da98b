// A batch as the script takes it: whole numbers and names. script/apply.lua has the order, wire.ts what the numbers mean.

import { algorithmOf, type LimitSpec } from "../../kernel/algorithms/registry.ts";
import { MARK_KEY, receiptsKey } from "../../kernel/receipts.ts";
import type { Step, StepEvent, StoreRequest } from "../../kernel/request.ts";
import type { Terms } from "../../store/shared-store.ts";
import { Numbering } from "./numbering.ts";
import { pushRequest } from "./request-values.ts";
import { ABSENT, BOUNDS, LIMIT_NUMBERS, PLACES } from "./wire.ts";

/** A batch, or a part of one, which goes to one script. */
export interface Part {
  readonly requests: readonly StoreRequest[];
  readonly terms: Terms | undefined;
  /** Which part of its batch it is, from 0. */
  readonly part: number;
}

/** KEYS and ARGV of a script call. */
export interface ScriptCall {
  readonly keys: readonly string[];
  readonly args: readonly (number | string)[];
}

/** With how many of the last shapes a request is compared: most batches have one, or a few. */
const MAX_COMPARED = 4;

/** Redis does nothing else while a script runs: a longer batch is sent as several scripts, pipelined. */
const MAX_KEYS = 256;

/**
 * A batch in parts that name a key at most `MAX_KEYS` times, unless one request alone does so more often. The same parts for
 * the same requests, whatever their modes: receipts are for parts.
 */
export function partsOf(requests: readonly StoreRequest[]): (readonly StoreRequest[])[] {
  const parts: StoreRequest[][] = [];
  let room = 0;
  for (const request of requests) {
    const keys = request.steps.length + (request.once === undefined ? 0 : 1);
    if (parts.length === 0 || keys > room) {
      parts.push([]);
      room = MAX_KEYS;
    }
    parts.at(-1)?.push(request);
    room -= keys;
  }
  return parts;
}

/** The batch of one request that is plain, as the script takes it. */
interface Plan {
  readonly steps: readonly Step[];
  readonly firstKey: number;
  /** Whether its answer is kept. Then the request's fingerprint stands between the texts. */
  readonly isKept: boolean;
  readonly texts: readonly string[];
}

/** A fingerprint that no request has. */
const ANY = "?";

/** Makes script calls. It remembers plans, because most requests come alone, and ask what another one has asked. */
export class ScriptCalls {
  readonly #plans: Plan[] = [];

  of(part: Part): ScriptCall {
    return this.#ofOne(part) ?? scriptCall(part);
  }

  #ofOne({ requests, terms, part }: Part): ScriptCall | null {
    const [request] = requests;
    if (request === undefined || requests.length > 1 || !isJudged(request)) return null;
    const { steps, once } = request;
    const keys = termKeys(terms);
    const firstKey = keys.length + 1;
    const isKept = once !== undefined;
    const plan =
      this.#plans.find((each) => each.firstKey === firstKey && each.isKept === isKept && isAlike(each.steps, steps)) ??
      this.#plan(request, firstKey);
    if (plan === null) return null;
    if (isKept) keys.push(once.key);
    for (let i = 0; i < steps.length; i++) keys.push((steps[i] as Step).bucket);
    return { keys, args: [...termValues(terms, part), plan.texts.join(once?.request)] };
  }

  #plan({ steps, once, ...request }: StoreRequest, firstKey: number): Plan | null {
    // Each of its buckets has a key of its own.
    const named = steps.map((step, i) => ({ ...step, bucket: String(i) }));
    const batch = new BatchValues(Array.from({ length: firstKey - 1 }, (_, i) => `term ${i}`));
    const isKept = once !== undefined;
    if (!batch.push({ ...request, ...(isKept && { once: { key: "", request: ANY } }), steps: named })) return null;
    const plan = { steps, firstKey, isKept, texts: isKept ? batch.text.split(ANY) : [batch.text] };
    this.#plans.unshift(plan);
    this.#plans.length = Math.min(this.#plans.length, MAX_COMPARED);
    return plan;
  }
}

/** Each key, each limit and each shape stands once, and is named by its number. */
function scriptCall({ requests, terms, part }: Part): ScriptCall {
  const batch = new BatchValues(termKeys(terms));
  for (const request of requests) batch.push(request);
  return { keys: batch.keys, args: [...termValues(terms, part), batch.text] };
}

/** The limits, shapes and requests of a batch, and the keys that they name. */
class BatchValues {
  readonly #keys: Numbering<string>;
  readonly #limits = new Numbering<LimitSpec>();
  readonly #shapes = new Shapes(this.#limits);
  readonly #requests: (number | string)[] = [];

  constructor(keys: readonly string[]) {
    this.#keys = new Numbering(keys);
  }

  get keys(): readonly string[] {
    return this.#keys.items;
  }

  /** All of them as JSON, and in front of them where they begin. */
  get text(): string {
    const limits = this.#limits.items.flatMap(limitNumbers);
    const firstShape = PLACES.firstLimitAt + limits.length;
    const shapes = this.#shapes.values;
    return JSON.stringify([firstShape, firstShape + shapes.length, ...limits, ...shapes, ...this.#requests]);
  }

  /** Adds a request. Returns whether it is plain. */
  push(request: StoreRequest): boolean {
    const shape = this.#shapes.offsetOf(request);
    if (shape === ABSENT.noShape) {
      this.#requests.push(shape);
      pushRequest(this.#requests, request, this.#keys, this.#limits);
      return false;
    }
    const { once, steps } = request;
    if (once === undefined) this.#requests.push(shape);
    else this.#requests.push(-shape, this.#keys.numberOf(once.key), once.request);
    for (const { bucket } of steps) this.#requests.push(this.#keys.numberOf(bucket));
    return true;
  }
}

/** Shapes: the limits and costs of plain requests, which only charge. A batch has each shape once. */
class Shapes {
  readonly values: (number | string)[] = [];
  readonly #limits: Numbering<LimitSpec>;
  /** The last ones, latest first: their offsets in `values`, and a request of each. */
  readonly #last: { readonly offset: number; readonly steps: readonly Step[] }[] = [];

  constructor(limits: Numbering<LimitSpec>) {
    this.#limits = limits;
  }

  /** The offset of a request's shape; `ABSENT.noShape` when it is not plain. */
  offsetOf(request: StoreRequest): number {
    const { steps } = request;
    if (!isJudged(request)) return ABSENT.noShape;
    const known = this.#last.find((shape) => isAlike(shape.steps, steps));
    if (known !== undefined) return known.offset;
    if (steps.length === 0 || !steps.every(isPlain)) return ABSENT.noShape;
    const offset = this.values.push(steps.length);
    for (const { limit, event, shadow } of steps) {
      const number = this.#limits.numberOf(limit);
      // As text, because a number is written slower.
      this.values.push(shadow === true ? -number : number, String(costOf(event)));
    }
    this.#last.unshift({ offset, steps });
    this.#last.length = Math.min(this.#last.length, MAX_COMPARED);
    return offset;
  }
}

/** Whether a request is only judged, at once, and its answer is kept, where it is, beside its buckets. */
function isJudged({ mode, steps, once, wait, atMs }: StoreRequest): boolean {
  if (mode !== "judge" || wait !== undefined || atMs !== undefined) return false;
  return once === undefined || steps.every(({ bucket }) => bucket !== once.key);
}

/** Whether a step charges a limit that the script's fast path knows, with numbers that are far from where sums saturate. */
function isPlain({ limit, event }: Step): boolean {
  if (event.type !== "charge" || event.seen !== undefined || event.cost >= BOUNDS.maxFastCost) return false;
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

/** The keys that terms name, which come first. */
function termKeys({ incarnation, receipt }: Terms = {}): string[] {
  const keys = incarnation === undefined ? [] : [MARK_KEY];
  if (receipt !== undefined) keys.push(receiptsKey(receipt.instance));
  return keys;
}

/** Terms in the order of `TERM_PLACES`. */
function termValues(terms: Terms | undefined, part: number): (number | string)[] {
  const { notAfterMs = Number.MAX_SAFE_INTEGER, incarnation = "", receipt } = terms ?? {};
  if (receipt === undefined) return [notAfterMs, incarnation, "", "", part];
  const { number, from, closes = false } = receipt;
  return [notAfterMs, incarnation, number, from, closes ? -1 - part : part];
}

/** The code of a limit's form, and its numbers, padded with zeros to `LIMIT_NUMBERS`. */
function limitNumbers(limit: LimitSpec): number[] {
  const [{ code }, ...numbers] = algorithmOf(limit).wire.numbersOf(limit);
  return [code, ...numbers, ...new Array<number>(LIMIT_NUMBERS - 1 - numbers.length).fill(0)];
}
