// Prepared calls. Calls with the same values of all dimensions that a limit looks at make the same step to the store. The cache
// keeps these steps, so that limits are not matched and keys are not built again.

import { decisionOf, type Priced } from "../kernel/answer.ts";
import { type Call, type Dimensions, mergeDimensions } from "../kernel/call.ts";
import { type CallFacts, factsOf, matchOf, stepOf } from "../kernel/charge.ts";
import { takesClaims } from "../kernel/claims.ts";
import type { Decision } from "../kernel/decision.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import type { Step, StoreReply, StoreRequest } from "../kernel/request.ts";
import { consumeCharges, eventOf, isHeldOnly } from "./charge-plan.ts";
import { CallWords } from "./call-words.ts";
import { type Part, StepCache } from "./step-cache.ts";

/** Most tools whose limits are kept. One more, and all are forgotten. */
const MAX_TOOLS = 1_000;

/** What a call asks of the store when it is consumed, and what it is charged. */
export interface PreparedCall {
  readonly request: StoreRequest;
  readonly charges: readonly Priced[];
}

export class CallCache {
  /** `false` for a policy whose requests change with time: it has calendar windows, or takes quotas from elsewhere. */
  readonly isOn: boolean;
  readonly #policy: CompiledPolicy;
  readonly #prefix: string;
  readonly #words: CallWords;
  /** For each tool, the steps of the limits that match it; `null` where a call has to be reserved. */
  readonly #byTool = new Map<unknown, readonly StepCache[] | null>();
  /** The steps of a limit, whatever the tool, and those for tools that it looks at. */
  readonly #ofAll = new Map<Limit, StepCache>();
  readonly #ofEach = new Map<Limit, StepCache>();
  #lastDenial: { readonly charges: readonly Priced[]; readonly reply: StoreReply; readonly decision: Decision } | null =
    null;

  constructor(policy: CompiledPolicy, prefix: string) {
    const { limits, callWords } = policy;
    this.#policy = policy;
    this.#prefix = prefix;
    this.isOn = !limits.some((limit) => limit.calendar !== null || takesClaims(limit));
    this.#words = new CallWords(callWords, new Set(limits.flatMap((limit) => [...limit.dimensions])));
    for (const limit of limits) {
      const places = [...this.#words.places].filter(([word]) => word !== "tool" && limit.dimensions.has(word));
      const own = places.map(([, place]) => place);
      this.#ofEach.set(limit, new StepCache(limit, [0, ...own]));
      this.#ofAll.set(limit, own.length === 0 ? (this.#ofEach.get(limit) as StepCache) : new StepCache(limit, own));
    }
  }

  /**
   * What a call with the dimensions that are bound asks; `null` where it cannot be prepared: for a call with a cost or a key, one
   * whose arguments a limit looks at and that were not hashed before, and one that is wrong. Only while the cache is on.
   *
   * @throws MisuseError as `resolveMatches`
   */
  prepare(bound: Dimensions, call: Call): PreparedCall | null {
    if (!this.#words.read(bound, call)) return null;
    const { values } = this.#words;
    const known = this.#byTool.get(values[0]);
    const caches = known === undefined ? this.#matching(bound, call) : known;
    if (caches === null) return null;
    const steps = new Array<Step>(caches.length);
    const charges = new Array<Priced>(caches.length);
    let count = 0;
    let facts: CallFacts | null = null;
    for (let i = 0; i < caches.length; i++) {
      const cache = caches[i] as StepCache;
      let part = cache.get(values);
      if (part === undefined) {
        facts ??= this.#factsOf(bound, call);
        part = cache.add(values, this.#partOf(cache.limit, facts));
      }
      if (part === null) continue;
      steps[count] = part.step;
      charges[count++] = part.priced;
    }
    if (count < steps.length) steps.length = charges.length = count;
    return { request: { mode: "judge", steps }, charges };
  }

  /** The decision for a store's reply. The deny cache repeats a reply as the same object: then the decision is the same, too. */
  decide({ charges }: PreparedCall, reply: StoreReply): Decision {
    const last = this.#lastDenial;
    if (last?.reply === reply && areSame(last.charges, charges)) return last.decision;
    const decision = decisionOf(charges, reply);
    if (!reply.allowed) this.#lastDenial = { charges, reply, decision };
    return decision;
  }

  #factsOf(bound: Dimensions, call: Call): CallFacts {
    return factsOf(this.#policy, this.#words.isWhole ? call : mergeDimensions(bound, call, "call"));
  }

  #matching(bound: Dimensions, call: Call): readonly StepCache[] | null {
    const { tool, about } = this.#factsOf(bound, call);
    if (this.#byTool.size >= MAX_TOOLS) this.#byTool.clear();
    const limits = this.#policy.limits.filter((limit) => limit.matches(tool));
    const isNamed = about.cost !== undefined || about.group !== undefined;
    const cacheOf = (limit: Limit) => {
      const { dimensions } = limit;
      const isOfTool = isNamed || dimensions.has("tool") || dimensions.has("group");
      return (isOfTool ? this.#ofEach : this.#ofAll).get(limit) as StepCache;
    };
    const found = limits.some((limit) => isHeldOnly(limit)) ? null : limits.map(cacheOf);
    this.#byTool.set(this.#words.values[0], found);
    return found;
  }

  /** `null` where the limit is not for the call. */
  #partOf(limit: Limit, facts: CallFacts): Part | null {
    const match = matchOf(limit, this.#prefix, facts);
    const [charge] = match === null ? [] : consumeCharges([match]);
    if (charge === undefined) return null;
    return { step: stepOf(charge, charge.allotment.spec, eventOf(charge, "")), priced: charge };
  }
}

function areSame(some: readonly Priced[], others: readonly Priced[]): boolean {
  return some.length === others.length && some.every((each, i) => each === others[i]);
}
