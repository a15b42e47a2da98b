// Calls that were resolved before: the same tool and the same values of all dimensions that its limits look at come to the
// same request and the same charges, so that keys are made once.

import type { Priced } from "../kernel/answer.ts";
import type { Call, Dimensions } from "../kernel/call.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { StoreRequest } from "../kernel/request.ts";

/** Most calls that are kept, some 500 bytes for each limit of one, and most tools. One more, and all are forgotten. */
export const MAX_KNOWN = 10_000;
/** Of so many newcomers one is kept, once all were. */
const KEPT_OF = 16;
/** What is longer is looked up by nobody often. */
const MAX_LENGTH = 128;

/** A dimension that decides nothing: it may be said, and that is all. */
const IDLE = -1;
/** What makes a call one of its own. */
const OWN_WORDS: ReadonlySet<string> = new Set(["args", "cost", "idempotencyKey"]);
const OWN = -2;
const UNKNOWN = -3;
/** No call has more. */
const MAX_WORDS = 64;

/** What is asked for a call, each time it is consumed, and what it is charged. */
export interface KnownCall extends StoreRequest {
  readonly charges: readonly Priced[];
  /** Until when the quotas of its limits stay as they are. */
  readonly freshUntilMs: number;
}

/** By the value of one dimension: the same by that of the next one, or the call. */
type Level = Map<unknown, Level | KnownCall>;

interface Tool {
  /** Where the values stand that decide. */
  readonly places: readonly number[];
  readonly calls: Level;
  /** What most of its calls are charged, once for all of them. */
  charges: readonly Priced[];
}

/** What calls of one policy came to. */
export class KnownCalls {
  readonly #policy: CompiledPolicy;
  /** Of each word that a call may say: where its value stands among `#values`. */
  readonly #places = new Map<string, number>();
  /** Those of the call that is looked up. */
  readonly #values: unknown[];
  readonly #tools = new Map<unknown, Tool>();
  /** Tools that are no different to the limits, by what they are to them. */
  readonly #alike = new Map<string, Tool>();
  #kept = 0;
  #isCrowded = false;
  #newcomers = 0;
  /** The dimensions that were bound to the last call, and their values. */
  #lastBound: Dimensions = {};
  readonly #bound: unknown[];
  /** Whether the policy knows them all: one that was bound under an earlier policy is for the limiter to refuse. */
  #isBoundKnown = true;
  /** The words of the last call, and their places. */
  readonly #words: string[] = [];
  readonly #wordPlaces: number[] = [];

  constructor(policy: CompiledPolicy) {
    this.#policy = policy;
    const deciding = new Set(["tool", ...policy.limits.flatMap(({ dimensions }) => [...dimensions])]);
    this.#places.set("tool", 0);
    for (const word of policy.callWords) {
      if (this.#places.has(word)) continue;
      this.#places.set(word, OWN_WORDS.has(word) ? OWN : deciding.has(word) ? this.#size() : IDLE);
    }
    this.#values = new Array(this.#size()).fill(undefined);
    this.#bound = new Array(this.#size()).fill(undefined);
  }

  /** What was kept for a call, with the dimensions that are bound; a call that nobody checked is none that is kept. */
  find(bound: Dimensions, call: Call): KnownCall | undefined {
    if (!this.#read(bound, call)) return undefined;
    const tool = this.#tools.get(this.#values[0]);
    if (tool === undefined) return undefined;
    let found: Level | KnownCall | undefined = tool.calls;
    for (let i = 0; i < tool.places.length; i++) {
      found = (found as Level).get(this.#values[tool.places[i] as number]);
      if (found === undefined) return undefined;
    }
    return found as KnownCall;
  }

  /** Keeps what a call came to that was checked, and may come again. */
  keep(
    bound: Dimensions,
    call: Call,
    { mode, steps }: StoreRequest,
    charges: readonly Priced[],
    freshUntilMs = Number.POSITIVE_INFINITY,
  ): KnownCall {
    if (!this.#isWelcome() || !this.#read(bound, call) || !this.#values.every(isShort)) {
      return { mode, steps, charges, freshUntilMs };
    }
    if (Math.max(this.#kept, this.#tools.size) >= MAX_KNOWN) {
      this.#tools.clear();
      this.#alike.clear();
      this.#kept = 0;
      this.#isCrowded = true;
    }
    const tool = this.#toolOf(this.#values[0]);
    const { places } = tool;
    let level = tool.calls;
    for (const place of places.slice(0, -1)) {
      const value = this.#values[place];
      let next = level.get(value) as Level | undefined;
      if (next === undefined) {
        next = new Map();
        level.set(value, next);
      }
      level = next;
    }
    const last = this.#values[places.at(-1) ?? 0];
    if (!level.has(last)) this.#kept++;
    if (!areSame(tool.charges, charges))
      tool.charges = charges.map(({ limit, allotment, cost, tool }) => ({ limit, allotment, cost, tool }));
    const known = { mode, steps, charges: tool.charges, freshUntilMs };
    level.set(last, known);
    return known;
  }

  /** Once more calls have come than are kept, few newcomers are: those that come often get in all the same. */
  #isWelcome(): boolean {
    return !this.#isCrowded || this.#newcomers++ % KEPT_OF === 0;
  }

  #size(): number {
    return [...this.#places.values()].filter((place) => place >= 0).length;
  }

  /** Which dimensions decide for a tool; where none does, the tool alone. */
  #toolOf(tool: unknown): Tool {
    const known = this.#tools.get(tool);
    if (known !== undefined) return known;
    const { limits, toolNamed } = this.#policy;
    const name = String(tool);
    const matching = limits.filter((limit) => limit.matches(name));
    const deciding = new Set(matching.flatMap(({ dimensions }) => [...dimensions]));
    const others = [...deciding].map((dimension) => this.#places.get(dimension) ?? OWN).filter((place) => place > 0);
    const own = deciding.has("tool") || others.length === 0 ? name : null;
    const { cost, group } = toolNamed(name) ?? {};
    const alike = JSON.stringify([own, matching.map((limit) => limit.name), cost, group]);
    const made = this.#alike.get(alike) ?? { places: others.length > 0 ? others : [0], calls: new Map(), charges: [] };
    this.#alike.set(alike, made);
    this.#tools.set(tool, made);
    return made;
  }

  /** Sorts a call's values. Whether it is one that may be kept: nothing but its dimensions decides. */
  #read(bound: Dimensions, call: Call): boolean {
    if (!isPlainObject(call)) return false;
    const values = this.#values;
    if (bound !== this.#lastBound) this.#bind(bound);
    if (!this.#isBoundKnown) return false;
    for (let place = 0; place < values.length; place++) values[place] = this.#bound[place];
    let i = 0;
    for (const word in call) {
      const place = this.#words[i] === word ? (this.#wordPlaces[i] as number) : this.#placeOf(word, i);
      i++;
      if (place === UNKNOWN) return false;
      if (place === IDLE) continue;
      const value = call[word as keyof Call];
      if (value === undefined || value === null) continue;
      if (place === OWN) return false;
      values[place] = value;
    }
    return true;
  }

  #bind(bound: Dimensions): void {
    this.#lastBound = bound;
    this.#bound.fill(undefined);
    this.#isBoundKnown = true;
    for (const [word, value] of Object.entries(bound)) {
      const place = this.#places.get(word) ?? UNKNOWN;
      if (place === UNKNOWN) this.#isBoundKnown = false;
      if (place >= 0) this.#bound[place] = value;
    }
  }

  /** Looks a word up, and remembers it for the next call, which mostly has the same ones in the same order. */
  #placeOf(word: string, i: number): number {
    const place = this.#places.get(word) ?? UNKNOWN;
    if (place !== UNKNOWN && i < MAX_WORDS) {
      this.#words[i] = word;
      this.#wordPlaces[i] = place;
    }
    return place;
  }
}

/** Whether all that can be read of it is its own. */
function isPlainObject(value: object): boolean {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function areSame(some: readonly Priced[], others: readonly Priced[]): boolean {
  return (
    some.length === others.length &&
    some.every(({ limit, allotment, cost }, i) => {
      const other = others[i];
      return limit === other?.limit && allotment === other.allotment && cost === other.cost;
    })
  );
}

function isShort(value: unknown): boolean {
  return typeof value !== "string" || value.length <= MAX_LENGTH;
}
