// The defaults of an algorithm, so that the file of a simple one is short.

import type { Words } from "../phrases.ts";
import type { AlgorithmPolicy } from "../policy/algorithm-policy.ts";
import { periodInWords } from "../words.ts";
import type { Algorithm, AlgorithmState, Outage, Wire } from "./algorithm.ts";

type Optional =
  | "refills"
  | "isFirm"
  | "comesBack"
  | "countsUnits"
  | "needsCost"
  | "isHeldOnly"
  | "queues"
  | "asSum"
  | "asCounter";

/** An algorithm as its file writes it: what is not said is the default. */
interface AlgorithmFacts<Limit, State extends AlgorithmState>
  extends Omit<Algorithm<Limit, State>, Optional | "policy" | "outage" | "words" | "wire">,
    Partial<Pick<Algorithm<Limit, State>, Optional>> {
  readonly policy: Partial<AlgorithmPolicy<Limit>> & Pick<AlgorithmPolicy<Limit>, "specOf">;
  readonly outage?: Partial<Outage<Limit, State>>;
  readonly words?: Partial<Words<Limit>>;
  readonly wire: Partial<Wire<Limit>> & Pick<Wire<Limit>, "forms" | "numbersOf">;
}

/** An algorithm with all defaults. Each has its members in the same order: one hidden class, which the engine finds quickly. */
export function defineAlgorithm<Limit extends { readonly algorithm: string }, State extends AlgorithmState>(
  facts: AlgorithmFacts<Limit, State>,
): Algorithm<Limit, State> {
  const bookedAtMs = facts.outage?.bookedAtMs ?? ((_limit, seenAtMs) => seenAtMs);
  return {
    kind: facts.kind,
    capacity: facts.capacity,
    used: facts.used,
    freeAfterMs: facts.freeAfterMs,
    isStale: facts.isStale,
    refills: facts.refills ?? (() => true),
    isFirm: facts.isFirm ?? true,
    comesBack: facts.comesBack ?? true,
    countsUnits: facts.countsUnits ?? true,
    needsCost: facts.needsCost ?? true,
    isHeldOnly: facts.isHeldOnly ?? false,
    queues: facts.queues ?? false,
    book: facts.book,
    flow: facts.flow,
    takeBack: facts.takeBack,
    windowEndsAtMs: facts.windowEndsAtMs,
    isInWindow: facts.isInWindow,
    report: facts.report,
    hasSeen: facts.hasSeen,
    withSeen: facts.withSeen,
    notAhead: facts.notAhead,
    overwrite: facts.overwrite,
    letter: facts.letter,
    encode: facts.encode,
    decode: facts.decode,
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
        facts.book(seen, undefined, used, bookedAtMs(seen, seenAtMs, endsAtMs)),
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
