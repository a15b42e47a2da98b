// The parts of sentences about a limit: which calls it is for, whose they are, what else is possible. What a limit of some
// algorithm says is in that algorithm's file; whole texts are made in message.ts.

import type { CountedVerdict } from "./decision.ts";
import { listed } from "./words.ts";

/** Longer lists of names are left out, in characters. */
const MAX_LIST_LENGTH = 42;
const MAX_NAMES = 3;

/** The part of a limit that texts are made from: algorithms, which limit.ts names, use it. */
interface SpokenLimit {
  readonly per: readonly string[];
  readonly message: string | null;
  readonly notice: { readonly message: string | null };
  readonly tools: readonly string[] | null;
  readonly isOfModel: boolean;
  readonly calendar: { readonly every: string } | null;
  readonly distinct: string | null;
}

/** What a text is made from. */
export interface About {
  readonly limit: SpokenLimit;
  /** The called tool's name, if the policy has it and the limit is per tool. */
  readonly tool: string | null;
  readonly verdict: CountedVerdict;
  /** Units that can be free at once at most, with those that were granted. */
  readonly total: number;
  readonly used: number;
  /** Milliseconds until time alone lets the call pass, however long that is; `null` if it never does. */
  readonly waitMs: number | null;
  /** Whether other instances hold borrowed units that could cover the call. */
  readonly isBorrowed: boolean;
  /** Whether a call of another tool may pass: every limit that is used up is for some tools alone. */
  readonly isOpen: boolean;
  /** Whether a limit for all tools is used up for good. */
  readonly isClosed: boolean;
  /** Of a denial: whether some limit is used up for good, so that neither a wait nor a smaller call helps. */
  readonly isFinal: boolean;
}

/** Which calls a limit is for, in the middle of a sentence. */
export interface Subject {
  /** `null`: all calls. */
  readonly text: string | null;
  readonly isMany: boolean;
}

/** What an algorithm says about its limits. `null`: the usual sentence of message.ts. */
export interface Words<Limit> {
  /** The period of an allowance: ` per hour` in `5 calls per hour in this session`. Default: the window's. */
  period(limit: Limit, about: About): string;
  /** What else limits an allowance: `, at most 10 at once`. Default: nothing. */
  burst(limit: Limit, about: About): string;
  /** Whether a call is denied because of earlier calls, and not for what it is. Default: if time would let it pass. */
  isReached(about: About): boolean;
  /** What follows `Retry after 5s`. Default: nothing. */
  readonly retry: string;
  /** The model's text of a denied call, without the limit's name. */
  denial(limit: Limit, about: About, subject: Subject): string | null;
  /** The model's text of a call that passes although the limit would deny it. */
  warning(limit: Limit, about: About, subject: Subject): string | null;
  /** The model's text of how little is left. */
  near(limit: Limit, about: About, subject: Subject): string | null;
  /** The text of a denial for programs and people. `scope` says by what the limit counts. */
  detail(limit: Limit, about: About, scope: string): string | null;
}

/**
 * The dimensions of what is called, and not of the caller. Where a limit counts distinct values of one: what it denies, and
 * what it still allows.
 */
const CALLED: ReadonlyMap<string | null, { readonly fresh: string; readonly known: string }> = new Map([
  ["tool", { fresh: "new tools", known: "tools that were called before are still available" }],
  ["group", { fresh: "tools of a new kind", known: "tools of the kinds that were called before are still available" }],
  ["args", { fresh: "tools with new arguments", known: "calls with earlier arguments are still possible" }],
]);

/** Whether a limit is for some tools, some arguments or the model alone: when it is used up, others are not affected. */
export function isPartial(limit: Pick<SpokenLimit, "per" | "tools" | "isOfModel" | "distinct">): boolean {
  const { per, tools, isOfModel, distinct } = limit;
  return tools !== null || isOfModel || [...per, distinct].some((dimension) => CALLED.has(dimension));
}

/** Whether a limit counts values that a model does not choose: its calls have one that was counted already. */
export function isCountedElsewhere({ distinct }: Pick<SpokenLimit, "distinct">): boolean {
  return distinct !== null && !CALLED.has(distinct);
}

export function countedOf({ distinct }: Pick<SpokenLimit, "distinct">) {
  return CALLED.get(distinct);
}

/** @param tool the called tool's name, where a text may name it */
export function subjectOf(per: readonly string[], tools: readonly string[] | null, tool: string | null): Subject {
  if (per.includes("args")) return { text: `${tool ?? "this tool"} with these arguments`, isMany: false };
  if (per.includes("tool")) return { text: tool ?? "this tool", isMany: false };
  if (per.includes("group")) return { text: "tools of this kind", isMany: true };
  if (tools === null) return { text: null, isMany: true };
  const names = listed(tools);
  const areNamed =
    tools.length > 0 && tools.length <= MAX_NAMES && names.length <= MAX_LIST_LENGTH && tools.every(isSayable);
  return { text: areNamed ? names : "tools like this one", isMany: tools.length > 1 || !areNamed };
}

/** Whether a tool's name is short, and has nothing in it that could break a text. */
export function isSayable(name: string): boolean {
  return /^[\w.:/-]{1,64}$/.test(name);
}

export function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

export function ofSubject({ text }: Subject): string {
  return text === null ? "" : ` of ${text}`;
}

export function forSubject({ text }: Subject): string {
  return text === null ? "" : ` for ${text}`;
}

export function itOrThem({ isMany }: Subject): string {
  return isMany ? "them" : "it";
}

export function callAgain(subject: Subject): string {
  return subject.text === null ? "call again" : `call ${itOrThem(subject)} again`;
}

/** What to do when nothing helps. */
export function stop({ limit, isOpen, isClosed }: About, subject: Subject): string {
  if (isClosed) return "Do not call tools again; finish with what you have.";
  if (limit.isOfModel) return "Finish with what you have.";
  const counted = countedOf(limit);
  const called = subject.text === null ? "this tool" : itOrThem(subject);
  if (!isOpen) return `Do not call ${counted?.fresh ?? `${called} again`}; wait before you call other tools.`;
  if (counted !== undefined) return `Do not call ${counted.fresh}; ${counted.known}.`;
  if (limit.per.includes("args")) return "Do not repeat it; other arguments and other tools are still possible.";
  return `Do not call ${itOrThem(subject)} again; other tools are still available.`;
}

/** What to do instead of the call, after "or". */
export function goOn({ limit, isOpen }: About, subject: Subject): string {
  const counted = countedOf(limit);
  if (!isOpen || limit.isOfModel || (subject.text === null && counted === undefined))
    return "finish with what you have.";
  if (counted !== undefined) return `go on without ${counted.fresh}; ${counted.known}.`;
  return limit.per.includes("args")
    ? "go on without it; other arguments and other tools are still possible."
    : `go on without ${itOrThem(subject)}; other tools are still available.`;
}

/** Whose calls they are, for the model: the narrowest of turn and session, else all of them. */
export function scopeOf(per: readonly string[]): string {
  if (per.includes("turn")) return " in this turn";
  return per.includes("session") ? " in this session" : callerOf(per);
}

/** Whose calls they are, unless that is a turn or a session. */
export function callerOf(per: readonly string[]): string {
  if (per.includes("turn") || per.includes("session")) return "";
  const list = listed(per.filter((dimension) => !CALLED.has(dimension)).map((name) => name.replaceAll("_", " ")));
  return list === "" || list.length > MAX_LIST_LENGTH ? "" : ` for this ${list}`;
}

/** The dimensions that a limit counts by, for programs and people. */
export function perOf(per: readonly string[]): string {
  const list = listed(per);
  return list === "" || list.length > MAX_LIST_LENGTH ? "" : ` per ${list}`;
}
