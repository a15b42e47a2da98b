// Prepared calls. Calls with the same tool and the same values of all dimensions that the policy's limits look at make the same
// request to the store. The cache keeps that request, so that limits are not matched and keys are not built again.

import { decisionOf, type Priced } from "../kernel/answer.ts";
import type { Call, Dimensions } from "../kernel/call.ts";
import { takesClaims } from "../kernel/claims.ts";
import type { Decision } from "../kernel/decision.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";

/** The most calls that are cached, about 500 bytes per limit of a call. A full cache is emptied. */
export const MAX_CALLS = 10_000;
/** Once the cache has been full, it takes one of so many new calls: most calls of a crowd come only once. */
const CACHED_ONE_OF = 16;
/** Longer values are unlikely to repeat; they are not cached. */
const MAX_LENGTH = 128;
/** A call with one of these is never cached: its request depends on them. */
const UNCACHED_WORDS: ReadonlySet<string> = new Set(["args", "cost", "idempotencyKey"]);

/** What a call asks of the store when it is consumed, and what it is charged. */
export interface PreparedCall {
  readonly request: StoreRequest;
  readonly charges: readonly Priced[];
}

/** By the value of one dimension: the next level, or on the last level the call. */
type Level = Map<unknown, Level | PreparedCall>;

export class CallCache {
  /** `false` for a policy whose requests change with time: it has calendar windows, or takes quotas from elsewhere. */
  readonly isOn: boolean;
  /** The index in `#values` of each word of a call. Words that no limit looks at have an index behind the last. */
  readonly #indexes: Record<string, number | undefined> = Object.create(null);
  /** The values of the call that is looked up. Building a text from them would take longer than the rest of a decision. */
  readonly #values: unknown[];
  /** How many dimensions the limits look at. */
  readonly #depth: number;
  /** The dimensions that were bound to the last call, and their values: most calls have the same. */
  #bound: Dimensions = {};
  readonly #boundValues: unknown[];
  #isBoundKnown = true;
  #calls: Level = new Map();
  #size = 0;
  #isCrowded = false;
  #newCalls = 0;
  /** What a tool's last new call was charged. Most of its calls are charged the same, and share the list. */
  readonly #charges = new Map<unknown, readonly Priced[]>();
  #lastDenial: { readonly call: PreparedCall; readonly reply: StoreReply; readonly decision: Decision } | null = null;

  constructor({ limits, callWords }: CompiledPolicy) {
    this.isOn = !limits.some((limit) => limit.calendar !== null || takesClaims(limit));
    const dimensions = new Set<string>(limits.flatMap((limit) => [...limit.dimensions]));
    const words = [...callWords].filter((word) => !UNCACHED_WORDS.has(word));
    const keys = ["tool", ...words.filter((word) => word !== "tool" && dimensions.has(word))];
    this.#depth = keys.length;
    this.#values = new Array(keys.length).fill(undefined);
    this.#boundValues = [...this.#values];
    for (const word of words) this.#indexes[word] = keys.includes(word) ? keys.indexOf(word) : keys.length;
  }

  /** The cached call with the dimensions that are bound. It needs no checks: only checked calls were cached, and every word is compared. */
  get(bound: Dimensions, call: Call): PreparedCall | undefined {
    if (!this.#read(bound, call)) return undefined;
    let found: Level | PreparedCall | undefined = this.#calls;
    for (let i = 0; i < this.#depth && found !== undefined; i++) found = (found as Level).get(this.#values[i]);
    return found as PreparedCall | undefined;
  }

  /** Prepares a call that has been checked, and caches it if it may come again. */
  prepare(bound: Dimensions, call: Call, request: StoreRequest, charges: readonly Priced[]): PreparedCall {
    const isWelcome = !this.#isCrowded || this.#newCalls++ % CACHED_ONE_OF === 0;
    if (!isWelcome || !this.#read(bound, call) || !this.#values.every(isShort)) return { request, charges };
    if (this.#size >= MAX_CALLS) {
      this.#calls = new Map();
      this.#charges.clear();
      this.#size = 0;
      this.#isCrowded = true;
    }
    const prepared = { request, charges: this.#shared(this.#values[0], charges) };
    let level = this.#calls;
    for (const value of this.#values.slice(0, this.#depth - 1)) {
      const next = (level.get(value) as Level | undefined) ?? new Map();
      level.set(value, next);
      level = next;
    }
    level.set(this.#values[this.#depth - 1], prepared);
    this.#size++;
    return prepared;
  }

  /** The decision for a store's reply. The deny cache repeats a reply as the same object: then the decision is the same, too. */
  decide(call: PreparedCall, reply: StoreReply): Decision {
    const last = this.#lastDenial;
    if (last?.reply === reply && last.call === call) return last.decision;
    const decision = decisionOf(call.charges, reply);
    if (!reply.allowed) this.#lastDenial = { call, reply, decision };
    return decision;
  }

  #shared(tool: unknown, charges: readonly Priced[]): readonly Priced[] {
    const known = this.#charges.get(tool);
    if (known !== undefined && areSame(known, charges)) return known;
    // Without the keys of this call, which are not needed any more.
    const kept = charges.map(({ limit, allotment, cost, tool }) => ({ limit, allotment, cost, tool }));
    this.#charges.set(tool, kept);
    return kept;
  }

  /** Reads the values of a call. Returns `false` when the call cannot be cached, or may be wrong. */
  #read(bound: Dimensions, call: Call): boolean {
    if (bound !== this.#bound) {
      this.#bound = bound;
      this.#boundValues.fill(undefined);
      this.#isBoundKnown = this.#readInto(this.#boundValues, bound);
    }
    for (let i = 0; i < this.#depth; i++) this.#values[i] = this.#boundValues[i];
    return this.#isBoundKnown && this.#readInto(this.#values, call);
  }

  #readInto(values: unknown[], words: object): boolean {
    if (!isPlainObject(words)) return false;
    for (const word in words) {
      const value = words[word];
      if (value === undefined || value === null) continue;
      const index = this.#indexes[word];
      if (index === undefined) return false;
      if (index < this.#depth) values[index] = value;
    }
    return true;
  }
}

/** Whether all properties that can be read are its own. */
function isPlainObject(value: object): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function areSame(some: readonly Priced[], others: readonly Priced[]): boolean {
  return (
    some.length === others.length &&
    some.every(({ limit, allotment, cost, tool }, i) => {
      const other = others[i];
      return limit === other?.limit && allotment === other.allotment && cost === other.cost && tool === other.tool;
    })
  );
}

function isShort(value: unknown): boolean {
  return typeof value !== "string" || value.length <= MAX_LENGTH;
}
