// The defaults of an algorithm, so that the file of a simple one is short.

import type { Words } from "../phrases.ts";
import type { AlgorithmPolicy } from "../policy/algorithm-policy.ts";
import type { Algorithm, ExpiringState, Outage, Wire } from "./algorithm.ts";

/** A limit as an algorithm takes it: its name and numbers. */
interface AlgorithmLimit {
  readonly algorithm: string;
}

type Optional =
  | "refills"
  | "isFirm"
  | "comesBack"
  | "countsUnits"
  | "needsCost"
  | "isHeldOnly"
  | "queues"
  | "overwrite"
  | "asCounter";

type Group = "policy" | "outage" | "words" | "wire";

/** An algorithm as its file writes it: what is not said is the default. */
export type AlgorithmFacts<Limit, State extends ExpiringState & { readonly kind: string }> = Omit<
  Algorithm<Limit, State>,
  Optional | Group
> &
  Partial<Pick<Algorithm<Limit, State>, Optional>> & {
    readonly policy: Partial<AlgorithmPolicy<Limit>> & Pick<AlgorithmPolicy<Limit>, "specOf">;
    readonly outage?: Partial<Outage<Limit, State>>;
    readonly words: Partial<Words<Limit>>;
    readonly wire: Partial<Wire<Limit>> & Pick<Wire<Limit>, "forms" | "numbersOf">;
  };

/**
 * An algorithm with all defaults. All algorithms have their members in the same order, so that the engine finds them
 * quickly.
 */
export function defineAlgorithm<Limit extends AlgorithmLimit, State extends ExpiringState & { readonly kind: string }>(
  facts: AlgorithmFacts<Limit, State>,
): Algorithm<Limit, State> {
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
    overwrite: facts.overwrite ?? (() => false),
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
      slowed: (limit) => limit,
      withCapacity: (limit, quota) => ({ ...limit, quota }),
      lifeMs: () => 0,
      bookedAtMs: (_limit, seenAtMs) => seenAtMs,
      sliceOf: ({ algorithm }) => algorithm,
      stateOf: (seen, { used, seenAtMs, endsAtMs }) => {
        const atMs = facts.outage?.bookedAtMs?.(seen, seenAtMs, endsAtMs) ?? seenAtMs;
        return facts.book(seen, undefined, used, atMs);
      },
      ...facts.outage,
    },
    words: { ...WORDS, ...facts.words },
    wire: { isFast: () => false, ...facts.wire },
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

/** What most algorithms say. */
const WORDS: Words<never> = {
  period: () => "",
  burst: () => "",
  isForGood: () => false,
  isReached: ({ waitMs }) => waitMs !== null,
  retry: "",
  denial: () => null,
  warning: () => null,
  near: () => null,
  detail: () => null,
};
