// What a policy and the identity of calls have to say to each other, before the first call is made.

import { algorithmOf } from "../../kernel/algorithms/registry.ts";
import { CALL_WORDS, DERIVED_DIMENSIONS } from "../../kernel/call.ts";
import { durationInWords, listed } from "../../kernel/words.ts";
import type { CompiledPolicy, Limit } from "../../kernel/limit.ts";
import type { Source } from "./config.ts";

/** Every call has these: what is not established is `unidentified`. */
const ALWAYS: ReadonlySet<string> = new Set(["tool", "user", "tenant", "session", "turn", ...DERIVED_DIMENSIONS]);
/** What a call is, and not whose: no configuration says it. */
export const NOT_GIVEN: ReadonlySet<string> = new Set(["tool", ...DERIVED_DIMENSIONS, ...CALL_WORDS]);
/** A limit without a window whose bucket outlives a conversation. */
const LONG_MS = 3_600_000;

/** Dimensions that calls are given, and that the policy does not have. */
export function unknownDimensions(identity: ReadonlyMap<string, Source>, policy: CompiledPolicy): string[] {
  return [...identity.keys()].filter((name) => !ALWAYS.has(name) && !policy.dimensions.has(name));
}

/** What warnings are made of. */
interface Gateway {
  /** The calls that share the buckets of what is not established. */
  readonly whose: string;
  /** Whether a client can begin a session by itself, beside what `identity` says. */
  readonly hasSessions: boolean;
  /** What to do for a dimension, as the end of a sentence. */
  readonly hint: (dimension: string) => string;
}

/** What is worth knowing at the start, as sentences. */
export function identityWarnings(
  identity: ReadonlyMap<string, Source>,
  policy: CompiledPolicy,
  { whose, hasSessions, hint }: Gateway,
): string[] {
  const limits = policy.limits.filter(({ isOfModel }) => !isOfModel);
  return [
    ...limits.flatMap((limit) => missingIn(limit, identity, hint)),
    ...sharedForGood(limits, identity, whose, hint),
    ...freshBudgets(limits, identity, hasSessions),
  ];
}

/** Nothing would stop a client that begins another session, or says another turn, for each call. */
function freshBudgets(limits: readonly Limit[], identity: ReadonlyMap<string, Source>, hasSessions: boolean): string[] {
  const isClaim = (source: Source | undefined) => source !== undefined && !("value" in source);
  const session = identity.get("session");
  const chosen = [
    ...(isClaim(session) || (hasSessions && session === undefined) ? ["session"] : []),
    ...(isClaim(identity.get("turn")) ? ["turn"] : []),
  ];
  const isFresh = ({ per }: Limit) => chosen.some((dimension) => per.includes(dimension));
  if (limits.length === 0 || !limits.every(isFresh)) return [];
  return [`a client gets a new budget with each ${listed(chosen, "or")}: add a limit per user`];
}

/** A limit that cannot judge a call refuses it. */
function missingIn(limit: Limit, identity: ReadonlyMap<string, Source>, hint: (dimension: string) => string): string[] {
  if (limit.onMissing !== "error") return [];
  const missing = limit.per.find((name) => !ALWAYS.has(name) && !identity.has(name));
  if (missing === undefined) return [];
  return [
    `no call that the limit ${limit.name} is for can be made, because nothing says its ${missing}: ${hint(missing)}`,
  ];
}

/** One conversation would use up what others have, for as long as it goes on. */
function sharedForGood(
  limits: readonly Limit[],
  identity: ReadonlyMap<string, Source>,
  whose: string,
  hint: (dimension: string) => string,
): string[] {
  return ["session", "turn"].flatMap((dimension) => {
    if (identity.has(dimension)) return [];
    const shared = limits.filter(({ per, allotment: { spec } }) => {
      const { refills, outage } = algorithmOf(spec);
      const isLonger = dimension === "session" && per.includes("turn");
      return per.includes(dimension) && !isLonger && !refills(spec) && outage.lifeMs(spec) >= LONG_MS;
    });
    const [first] = shared;
    if (first === undefined) return [];
    const names = listed(shared.map(({ name }) => name));
    const { spec } = first.allotment;
    const unused = durationInWords(algorithmOf(spec).outage.lifeMs(spec), "up");
    return [
      `${names}: ${whose} share one ${dimension}, so what one has used is used for the others, until no call was made for ${unused}. Give the limit a window, such as algorithm: fixed-window, window: 1d, or ${hint(dimension)}`,
    ];
  });
}
