// The texts of decisions: for the model what to do next, for programs and people what limit was reached. They are made
// from the policy's own names and numbers, never from what a caller or a model wrote.

import { algorithmOf, type LimitSpec } from "./algorithms/registry.ts";
import type { Dimension } from "./call.ts";
import type { Verdict } from "./decision.ts";
import { formatDuration } from "./duration.ts";
import type { Limit } from "./limit.ts";
import { amount, durationInWords, grouped, isMoney, listed, nounOf, periodInWords } from "./words.ts";

/** Most characters of a text. */
const MAX_LENGTH = 300;
/** Longer lists of names are left out. */
const MAX_SCOPE = 42;
const MAX_NAMES = 3;

/** A verdict of a limit that counts against a number. */
export type CountedVerdict = Verdict & {
  readonly quota: number;
  readonly capacity: number;
  readonly remaining: number;
};

/** What a text is made from. */
export interface About {
  readonly limit: Pick<Limit, "per" | "message" | "notice" | "tools" | "isOfModel" | "calendar" | "distinct">;
  /** The called tool's name where the policy has it, too, and the limit is per tool. */
  readonly tool: string | null;
  readonly verdict: CountedVerdict;
  readonly spec: LimitSpec;
  /** Most units that can be free at once, with those that were granted. */
  readonly total: number;
  /** Units that are not free. */
  readonly used: number;
  /** Until time alone lets the call pass, however long that is; `null` where it never does. */
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

/** The model's text of a denied call: which limit was reached, and what to do next. At most 300 characters. */
export function denialMessage(about: About): string {
  const { limit, verdict } = about;
  if (limit.message !== null) return filled(limit.message, about);
  const [reached, denied] = [`Limit reached (${verdict.limit}), call denied:`, `Call denied (${verdict.limit}):`];
  return fitting(about, (subject) => `${isReached(about) ? reached : denied} ${denialOf(about, subject)}`);
}

/** The model's text of a call that is denied because the limit cannot be checked. At most 300 characters. */
export function awayMessage({ limit, retryAfterMs }: Verdict): string {
  const wait = durationInWords(retryAfterMs ?? 0, "up");
  return `Call denied for now: the limit ${limit} cannot be checked at the moment. Try again in ${wait}, or go on without this call.`;
}

/** The model's text of an allowed call that a limit in mode warn would deny. At most 300 characters. */
export function warning(about: About): string {
  const own = about.limit.notice.message ?? about.limit.message;
  if (own !== null) return filled(own, about);
  return fitting(about, (subject) => `Warning: ${exceeded(about, subject)}`);
}

function exceeded(about: About, subject: Subject): string {
  const { limit, verdict, spec, total } = about;
  const { unit, quota } = verdict;
  const scope = scopeOf(limit.per);
  if (spec.algorithm === "streak") return `${rowOf(verdict, ofSubject(subject))}. ${otherWay(limit, subject)}.`;
  if (spec.algorithm === "elapsed") {
    return `${timeIsOver(about, subject)}. Finish with what you have.`;
  }
  if (spec.algorithm === "concurrency") {
    const most = `more than ${amount(total, unit)}${ofSubject(subject)}`;
    return `${most} were ${inUse(unit)} at once${scope} when this call began. Make fewer calls at the same time.`;
  }
  const why =
    total === 0 ? `the limit${forSubject(subject)} is ${amount(quota, unit)}${scope}` : usedUp(about, subject);
  return `${why}. Calls still pass, but make only those that you need.`;
}

/** The model's text of how little is left after an allowed call. At most 300 characters. */
export function nearMessage(about: About): string {
  const { message } = about.limit.notice;
  return message === null ? fitting(about, (subject) => nearOf(about, subject)) : filled(message, about);
}

/** A denied call's text for programs and people: the limit, and when to retry. At most 300 characters. */
export function denialDetail(about: About): string {
  return clipped(detailOf(about));
}

function detailOf(about: About): string {
  const { verdict, spec } = about;
  const { unit, cost, quota, remaining } = verdict;
  const scope = perOf(about.limit.per);
  const limit = allowanceOf(about, scope);
  if (isForbidden(about)) return `Not allowed: the limit is ${amount(0, unit)}${scope}.`;
  if (spec.algorithm === "streak") return `Blocked: ${rowOf(verdict, scope)}.`;
  if (spec.algorithm === "elapsed") return `Limit reached: ${durationInWords(quota, "up")}${scope}.`;
  if (about.waitMs === null) return `Not possible: the limit is ${limit}, and this call needs ${needed(verdict)}.`;
  const why = remaining === 0 ? "" : `, ${left(verdict)} left, ${amount(cost, unit, "up")} needed`;
  return `Limit reached: ${limit}${why}.${laterOf(about)}`;
}

/** When to come again, where the units come back by time. */
function laterOf({ verdict: { retryAfterMs }, spec, waitMs }: About): string {
  const latest = spec.algorithm === "concurrency" ? " at the latest" : "";
  if (retryAfterMs !== null) return ` Retry after ${retryIn(retryAfterMs)}${latest}.`;
  return waitMs === null || !algorithmOf(spec).refills(spec) ? "" : ` Resets in ${retryIn(waitMs)}.`;
}

/** The text for programs and people of a call that is denied because the limit cannot be checked. */
export function awayDetail({ retryAfterMs }: Verdict): string {
  return `The limit cannot be checked at the moment. Retry after ${retryIn(retryAfterMs ?? 0)}.`;
}

/** The words of a text of the policy's own, as `{remaining}`. */
export const MESSAGE_WORDS = ["limit", "unit", "cost", "quota", "remaining", "retryAfter"] as const;

/** The words of a notice of the policy's own. */
export const NOTICE_WORDS = [...MESSAGE_WORDS, "used"] as const;

function filled(template: string, { verdict, spec, used, waitMs }: About): string {
  const ms = verdict.retryAfterMs ?? (algorithmOf(spec).refills(spec) ? waitMs : null);
  const words = { ...verdict, used, retryAfter: ms === null ? "never" : formatDuration(ms) };
  return clipped(template.replace(/\{(\w+)\}/g, (_, word: (typeof NOTICE_WORDS)[number]) => String(words[word])));
}

function clipped(text: string): string {
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH - 1)}…`;
}

/** Whole seconds, as the header field `Retry-After` has them. */
function retryIn(ms: number): string {
  return formatDuration(Math.max(1, Math.ceil(ms / 1_000)) * 1_000);
}

/** Which calls a limit is for, in the middle of a sentence. */
interface Subject {
  /** `null`: all calls. */
  readonly text: string | null;
  readonly isMany: boolean;
}

/** Whether a limit is for some tools, some arguments or the model alone: others are not affected when it is used up. */
export function isPartial({ per, tools, isOfModel, distinct }: About["limit"]): boolean {
  return tools !== null || isOfModel || [...per, distinct].some((dimension) => SPECIFIC.has(dimension));
}

/** Whether a limit counts values that a model does not choose: its calls have one that was counted already. */
export function isCountedElsewhere({ distinct }: About["limit"]): boolean {
  return distinct !== null && !SPECIFIC.has(distinct);
}

const SPECIFIC: ReadonlySet<Dimension | null> = new Set<Dimension | null>(["tool", "group", "args"]);

/** What a limit that counts values denies, and what it still allows. */
const COUNTED: Partial<Record<Dimension, { readonly fresh: string; readonly known: string }>> = {
  tool: { fresh: "new tools", known: "tools that were called before are still available" },
  group: { fresh: "tools of a new kind", known: "tools of the kinds that were called before are still available" },
  args: { fresh: "tools with new arguments", known: "calls with earlier arguments are still possible" },
};

function countedOf({ distinct }: About["limit"]) {
  return distinct === null ? undefined : COUNTED[distinct];
}

function subjectOf({ limit: { per, tools }, tool }: About): Subject {
  const one = per.includes("tool");
  if (per.includes("args")) return { text: `${tool ?? "this tool"} with these arguments`, isMany: false };
  if (one) return { text: tool ?? "this tool", isMany: false };
  if (per.includes("group")) return { text: "tools of this kind", isMany: true };
  if (tools === null) return { text: null, isMany: true };
  const names = listed(tools);
  const areSaid = tools.length > 0 && tools.length <= MAX_NAMES && names.length <= MAX_SCOPE && tools.every(isSayable);
  return { text: areSaid ? names : "tools like this one", isMany: tools.length > 1 || !areSaid };
}

const SAYABLE = /^[\w.:/-]{1,64}$/;

/** Whether a tool's name is short, and has nothing in it that a text could be broken with. */
export function isSayable(name: string): boolean {
  return SAYABLE.test(name);
}

/** The first text that is not too long: with all names, then without the tool's and the callers', then without an end. */
function fitting(about: About, write: (subject: Subject) => string): string {
  const whole = write(subjectOf(about));
  if (whole.length <= MAX_LENGTH) return whole;
  const plain = { ...about, tool: null, limit: { ...about.limit, tools: about.limit.tools === null ? null : [] } };
  return clipped(write(subjectOf(plain)));
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** At the beginning of a sentence. A name stays as it is written. */
function opening({ text }: Subject): string {
  return /^(?:this|tools) /.test(text ?? "") ? capital(text ?? "") : (text ?? "");
}

function has({ isMany }: Subject): string {
  return isMany ? "have" : "has";
}

function ofSubject({ text }: Subject): string {
  return text === null ? "" : ` of ${text}`;
}

function forSubject({ text }: Subject): string {
  return text === null ? "" : ` for ${text}`;
}

function it({ isMany }: Subject): string {
  return isMany ? "them" : "it";
}

function denialOf(about: About, subject: Subject): string {
  const { limit, verdict, spec, total, isFinal } = about;
  const { unit, remaining, retryAfterMs } = verdict;
  if (isForbidden(about)) return `${forbidden(about, subject)}. ${stop(about, subject)}`;
  if (spec.algorithm === "streak") {
    const advice = about.isOpen ? otherWay(limit, subject) : "Finish with what you have";
    return `${rowOf(verdict, ofSubject(subject))}. ${advice}.`;
  }
  if (spec.algorithm === "elapsed") return `${timeIsOver(about, subject)}. ${stop(about, subject)}`;
  if (retryAfterMs === null) return `${shortOf(about, subject)}. ${(isFinal ? stop : smaller)(about, subject)}`;
  const wait = durationInWords(retryAfterMs, "up");
  if (about.isBorrowed) return `${occupied(about, subject)}. Try again in ${wait}, or ${goOn(about, subject)}`;
  if (spec.algorithm === "concurrency" && remaining === 0) {
    const running = `${amount(total, unit)}${ofSubject(subject)} ${total === 1 ? "is" : "are"} ${inUse(unit)}${scopeOf(limit.per)}, the maximum`;
    const then = `Try again when one ${unit === "calls" ? "has finished" : "is free"}, at most ${wait} from now`;
    return `${running}. ${then}, or ${goOn(about, subject)}`;
  }
  return `${shortOf(about, subject)}. Try again in ${wait}, or ${goOn(about, subject)}`;
}

/** Why a call does not fit. */
function shortOf(about: About, subject: Subject): string {
  const { limit, verdict, spec, total, waitMs } = about;
  if (waitMs === null)
    return `this call needs ${needed(verdict)}, and the limit is ${allowanceOf(about, scopeOf(limit.per))}`;
  if (verdict.remaining > 0) return `${remainder(about, subject)}, and this call needs ${needed(verdict)}`;
  return `${usedUp(about, subject)}${total === 1 && isBudget(spec) ? ` (limit: ${allowanceOf(about)})` : ""}`;
}

function timeIsOver({ limit, verdict }: About, subject: Subject): string {
  const time = durationInWords(verdict.quota, "up");
  return `the time${forSubject(subject)}${scopeOf(limit.per)} is over (${time} from the first call)`;
}

function nearOf(about: About, subject: Subject): string {
  const { limit, verdict, spec, total, isOpen } = about;
  const { remaining, resetAfterMs } = verdict;
  const others = isOpen ? `; ${countedOf(limit)?.known ?? "other tools are still available"}` : "";
  if (spec.algorithm === "elapsed") {
    const time = durationInWords(remaining, "down");
    const some = /^1 \S+$|^less/.test(time) ? `${time} is` : `${time} are`;
    const whole = durationInWords(verdict.quota, "up");
    return `${capital(some)} left of ${whole}${forSubject(subject)}${scopeOf(limit.per)}. Finish in that time.`;
  }
  if (spec.algorithm === "concurrency") {
    // The call may have ended before the model reads this: only what was true when it began stays true.
    const { unit } = verdict;
    const some = `${grouped(total - remaining)} of at most ${amount(total, unit)}${ofSubject(subject)}`;
    const were = `${total - remaining === 1 ? "was" : "were"} ${inUse(unit)} at once${scopeOf(limit.per)}`;
    return `${some} ${were} when this call began. Make fewer calls at the same time.`;
  }
  if (remaining > 0) {
    const last = isBudget(spec) ? `. Finish before ${remaining === 1 ? "it is" : "that is"} used up.` : ".";
    const end = isPartial(limit) && !limit.isOfModel ? `${others}.` : last;
    return `${opened(remainder(about, subject), subject)}${end}`;
  }
  const fact = opened(usedUp(about, subject), subject);
  if (isBudget(spec)) return `${fact}. ${stop(about, subject)}`;
  if (limit.isOfModel)
    return `${fact}. The next call of the model may have to wait for ${durationInWords(resetAfterMs, "up")}.`;
  const wait = `Wait up to ${durationInWords(resetAfterMs, "up")} before you call`;
  const what = countedOf(limit)?.fresh ?? (subject.text === null ? "again" : `${it(subject)} again`);
  return `${fact}. ${wait} ${what}${others}.`;
}

/** A sentence whose first word may be the subject's. */
function opened(sentence: string, subject: Subject): string {
  return subject.text !== null && sentence.startsWith(subject.text)
    ? opening(subject) + sentence.slice(subject.text.length)
    : capital(sentence);
}

/** That nothing is left, and of how much. */
function usedUp(about: About, subject: Subject): string {
  const { limit, verdict, spec, total } = about;
  const { unit } = verdict;
  const scope = scopeOf(limit.per);
  const isAll = isBudget(spec);
  if (isMoney(unit)) {
    const budget = isAll ? amount(total, unit) : allowanceOf(about);
    return `the budget of ${budget}${forSubject(subject)}${scope} is used up`;
  }
  const now = isAll ? "" : " for now";
  const of = isAll ? (total === 1 ? "" : `: all ${grouped(total)} are used`) : ` (limit: ${allowanceOf(about)})`;
  return subject.text === null
    ? `no ${unitsOf(about)} are left${scope}${now}${of}`
    : `${subject.text} ${has(subject)} no ${unitsOf(about)} left${scope}${now}${of}`;
}

/** That nothing is free now, although not all of it is used. */
function occupied(about: About, subject: Subject): string {
  const units = isMoney(about.verdict.unit) ? "money" : unitsOf(about);
  const scope = scopeOf(about.limit.per);
  return subject.text === null
    ? `no ${units} ${units === "money" ? "is" : "are"} free${scope} at the moment`
    : `${subject.text} ${has(subject)} no ${units} free${scope} at the moment`;
}

/** How much is left, and of how much. */
function remainder(about: About, subject: Subject): string {
  const { limit, verdict, spec, total } = about;
  const { unit, remaining } = verdict;
  const isAll = isBudget(spec);
  const some = isAll
    ? isMoney(unit)
      ? `${left(verdict)} of ${amount(total, unit)}`
      : `${grouped(remaining)} of ${grouped(total)} ${unitsOf(about, total)}`
    : left(verdict);
  const now = isAll ? "" : ` for now (limit: ${allowanceOf(about)})`;
  const scope = scopeOf(limit.per);
  return subject.text === null
    ? `only ${some} ${isMoney(unit) || remaining === 1 ? "is" : "are"} left${scope}${now}`
    : `${subject.text} ${has(subject)} only ${some} left${scope}${now}`;
}

/** What units of concurrency are while a call has them. */
function inUse(unit: string): string {
  return unit === "calls" ? "running" : "in use";
}

function unitsOf({ limit, verdict }: About, count = 0): string {
  const { unit } = verdict;
  const noun = limit.isOfModel && unit === "calls" ? `${nounOf(unit, count)} of the model` : nounOf(unit, count);
  return limit.distinct === null ? noun : `new ${noun}`;
}

function left({ remaining, unit }: CountedVerdict): string {
  return amount(remaining, unit, "down");
}

function needed({ cost, unit }: CountedVerdict): string {
  return amount(cost, unit, "up");
}

function forbidden(about: About, subject: Subject): string {
  const { limit } = about;
  const { unit } = about.verdict;
  const scope = callerOf(limit.per);
  if (unit === "calls" && subject.text !== null)
    return `${subject.text} ${subject.isMany ? "are" : "is"} not allowed${scope}`;
  const what = isMoney(unit) ? "spending is" : `${unitsOf(about)} are`;
  return `no ${what} allowed${forSubject(subject)}${scope}`;
}

/** What did not get on: the last calls of which tool, or by what they are counted. */
function rowOf({ unit, quota }: CountedVerdict, of: string): string {
  const calls = quota === 1 ? `the last call${of}` : `the last ${grouped(quota)} calls${of}`;
  return unit === "errors" ? `${calls} failed` : `${calls} had the same result`;
}

/** What may make progress. */
function otherWay({ per }: About["limit"], { text }: Subject): string {
  if (text === null) return "Do something else, or finish with what you have";
  return per.includes("args")
    ? "Do not repeat it: change the arguments, use another tool, or finish with what you have"
    : "Use another tool, or finish with what you have";
}

/** What to do when nothing helps. */
function stop({ limit, isOpen, isClosed }: About, subject: Subject): string {
  if (isClosed) return "Do not call tools again; finish with what you have.";
  if (limit.isOfModel) return "Finish with what you have.";
  const counted = countedOf(limit);
  const called = subject.text === null ? "this tool" : it(subject);
  if (!isOpen) return `Do not call ${counted?.fresh ?? `${called} again`}; wait before you call other tools.`;
  if (counted !== undefined) return `Do not call ${counted.fresh}; ${counted.known}.`;
  if (limit.per.includes("args")) return "Do not repeat it; other arguments and other tools are still possible.";
  return `Do not call ${it(subject)} again; other tools are still available.`;
}

function smaller(about: About, subject: Subject): string {
  return `Make a smaller call, or ${goOn(about, subject)}`;
}

function goOn({ limit, isOpen }: About, subject: Subject): string {
  const counted = countedOf(limit);
  if (!isOpen || limit.isOfModel || (subject.text === null && counted === undefined))
    return "finish with what you have.";
  if (counted !== undefined) return `go on without ${counted.fresh}; ${counted.known}.`;
  return limit.per.includes("args")
    ? "go on without it; other arguments and other tools are still possible."
    : `go on without ${it(subject)}; other tools are still available.`;
}

/** Whether nothing is allotted, nor was granted. */
function isForbidden({ verdict: { quota }, total }: About): boolean {
  return quota === 0 && total === 0;
}

/** Whether a call is denied because of those before it, and not for what it is. */
function isReached(about: About): boolean {
  const { spec, waitMs } = about;
  const isTooLarge = waitMs === null && spec.algorithm !== "elapsed";
  return !isForbidden(about) && spec.algorithm !== "streak" && !isTooLarge;
}

/** Whether there is no period after which units come back: a scope that goes on has these units alone. */
function isBudget(spec: LimitSpec): boolean {
  return spec.algorithm === "budget" && spec.ttlFrom === "last";
}

/** What a limit allows, and in which time: `5 calls per hour`, `60 calls per minute, at most 10 at once`. */
function allowanceOf(about: About, scope = ""): string {
  const { limit, verdict, spec, total } = about;
  const { unit, quota } = verdict;
  const count = isBudget(spec) ? total : quota;
  const units = limit.distinct === null ? amount(count, unit) : `${grouped(count)} ${unitsOf(about, count)}`;
  switch (spec.algorithm) {
    case "concurrency":
      return `${units} at once${scope}`;
    case "fixed-window":
      return `${units} per ${limit.calendar?.every ?? periodInWords("windowMs" in spec ? spec.windowMs : 1)}${scope}`;
    case "sliding-window":
      return `${units} per ${periodInWords(spec.windowMs)}${scope}`;
    case "token-bucket": {
      const most = isMoney(unit) ? amount(spec.burst, unit) : grouped(spec.burst);
      const burst = spec.burst === quota ? "" : `, at most ${most} at once`;
      return `${units} per ${periodInWords((quota / spec.levelPerMs) * spec.levelPerUnit)}${scope}${burst}`;
    }
    case "budget":
      return `${units}${spec.ttlFrom === "first" ? ` per ${periodInWords(spec.ttlMs)}` : ""}${scope}`;
    default:
      return `${units}${scope}`;
  }
}

/** Whose calls they are, for the model: the narrowest of turn and session, else all of them. */
function scopeOf(per: readonly Dimension[]): string {
  if (per.includes("turn")) return " in this turn";
  return per.includes("session") ? " in this session" : callerOf(per);
}

/** Whose calls they are, where that is no turn and no session. */
function callerOf(per: readonly Dimension[]): string {
  if (per.includes("turn") || per.includes("session")) return "";
  const list = listed(per.filter((dimension) => !SPECIFIC.has(dimension)).map((name) => name.replaceAll("_", " ")));
  return list === "" || list.length > MAX_SCOPE ? "" : ` for this ${list}`;
}

/** What a limit is counted by, for programs and people. */
function perOf(per: readonly Dimension[]): string {
  const list = listed(per);
  return list === "" || list.length > MAX_SCOPE ? "" : ` per ${list}`;
}
