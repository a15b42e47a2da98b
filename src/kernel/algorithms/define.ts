// The defaults of an algorithm, so that the file of a simple one is short.

import type { Words } from "../phrases.ts";
import type { AlgorithmPolicy } from "../policy/algorithm-policy.ts";
import { periodInWords } from "../words.ts";
import type { Algorithm, Outage, Wire } from "./algorithm.ts";
import type { AlgorithmState, Rules } from "./rules/rules.ts";

type Optional = "refills" | "countsUnits" | "isHeldOnly" | "overwrite" | "asSum" | "asCounter";
type Written = "policy" | "outage" | "words" | "wire";

/** What the file of an algorithm says beside its rules: what is not said is the default. */
interface AlgorithmFacts<Limit, State extends AlgorithmState>
  extends Omit<Algorithm<Limit, State>, keyof Rules<Limit, State> | Optional | Written>,
    Partial<Pick<Algorithm<Limit, State>, Optional>> {
  readonly policy: Partial<AlgorithmPolicy<Limit>> & Pick<AlgorithmPolicy<Limit>, "specOf">;
  readonly outage?: Partial<Outage<Limit, State>>;
  readonly words?: Partial<Words<Limit>>;
  readonly wire: Partial<Wire<Limit>> & Pick<Wire<Limit>, "forms" | "numbersOf">;
}

/** An algorithm with all defaults. Each has its members in the same order: one hidden class, which the engine finds quickly. */
export function defineAlgorithm<Limit extends { readonly algorithm: string }, State extends AlgorithmState>(
  rules: Rules<Limit, State>,
  facts: AlgorithmFacts<Limit, State>,
): Algorithm<Limit, State> {
  const bookedAtMs = facts.outage?.bookedAtMs ?? ((_limit, seenAtMs) => seenAtMs);
  return {
    ...rules,
    refills: facts.refills ?? (() => true),
    countsUnits: facts.countsUnits ?? true,
    isHeldOnly: facts.isHeldOnly ?? false,
    overwrite: facts.overwrite,
    policy: { ...POLICY, ...facts.policy },
    outage: {
      isUseKnown: true,
      isCountedLocally: false,
      endsTogether: false,
      isDivided: true,
      hasRate: false,
      flowingLast: (_limit, state) => state,
      flowsFromMs: () => 0,
      slowed: (limit) => limit,
      withCapacity: (limit, quota) => ({ ...limit, quota }),
      lifeMs: () => 0,
      bookedAtMs,
      sliceOf: ({ algorithm }) => algorithm,
      stateOf: (seen, { used, seenAtMs, endsAtMs }) =>
        rules.book(seen, undefined, used, bookedAtMs(seen, seenAtMs, endsAtMs)),
      ...facts.outage,
    },
    words: { ...WORDS, ...facts.words },
    wire: { isFast: () => false, ...facts.wire },
    asSum: facts.asSum ?? (() => null),
    asCounter: facts.asCounter ?? (() => null),
  };
}

/** How most algorithms are written in a policy. */
const POLICY: Omit<AlgorithmPolicy<never>, "specOf"> = {
  amountKey: "quota",
  quotaOf: (amount) => amount,
  unit: ({ unit = "calls" }) => unit,
  callPrice: null,
  reports: () => null,
  calendar: () => null,
  isImplied: () => false,
  windowMs: () => null,
  noticeAt: null,
  isUnlimitedCounted: true,
  unlimitedSpec: null,
  hasLargestQuota: false,
  quotaFault: () => null,
  claimFault: () => null,
  contradictions: () => {},
  grantFault: null,
};

const WORDS: Words<never> = {
  period(_limit, { limit: { calendar }, verdict: { windowMs } }) {
    if (calendar !== null) return ` per ${calendar.every}`;
    return windowMs === null ? "" : ` per ${periodInWords(windowMs)}`;
  },
  burst: () => "",
  isReached: ({ waitMs }) => waitMs !== null,
  retry: "",
  denial: () => null,
  warning: () => null,
  near: () => null,
  detail: () => null,
};
