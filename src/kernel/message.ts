// The texts of decisions: for the model what to do next, for programs and people what limit was reached. They are made
// from the policy's own names and numbers, never from what a caller or a model wrote.

import { algorithmOf, type LimitSpec } from "./algorithms/registry.ts";
import type { CountedVerdict, Verdict } from "./decision.ts";
import { formatDuration } from "./duration.ts";
import {
  type About,
  callAgain,
  callerOf,
  capital,
  countedOf,
  forSubject,
  goOn,
  isPartial,
  perOf,
  type Subject,
  scopeOf,
  stop,
  subjectOf,
  type Words,
} from "./phrases.ts";
import { amount, durationInWords, grouped, isMoney, type NOTICE_WORDS, nounOf, type Rounding } from "./words.ts";

/** Most characters of a text. */
const MAX_LENGTH = 300;

/** What a text is made from, with the numbers of the limit's algorithm. */
export interface AboutLimit extends About {
  readonly spec: LimitSpec;
}

function wordsOf({ spec }: AboutLimit): Words<LimitSpec> {
  return algorithmOf(spec).words;
}

/** The model's text of a denied call: which limit was reached, and what to do next. At most 300 characters. */
export function denialMessage(about: AboutLimit): string {
  const { limit, verdict } = about;
  if (limit.message !== null) return filled(limit.message, about);
  const head = isReached(about) ? `Limit reached (${verdict.limit}), call denied:` : `Call denied (${verdict.limit}):`;
  return fitting(about, (subject) => `${head} ${denialOf(about, subject)}`);
}

/** The model's text of a call that is denied because the limit cannot be checked. At most 300 characters. */
export function awayMessage({ limit, retryAfterMs }: Verdict): string {
  const wait = durationInWords(retryAfterMs ?? 0, "up");
  return `Call denied for now: the limit ${limit} cannot be checked at the moment. Try again in ${wait}, or go on without this call.`;
}

/** The model's text of an allowed call that a limit in mode warn would deny. At most 300 characters. */
export function warning(about: AboutLimit): string {
  const own = about.limit.notice.message ?? about.limit.message;
  if (own !== null) return filled(own, about);
  return fitting(about, (subject) => `Warning: ${warningOf(about, subject)}`);
}

function warningOf(about: AboutLimit, subject: Subject): string {
  const own = wordsOf(about).warning(about.spec, about, subject);
  if (own !== null) return own;
  const { limit, verdict, total } = about;
  const why =
    total === 0
      ? `the limit${forSubject(subject)} is ${amount(verdict.quota, verdict.unit)}${scopeOf(limit.per)}`
      : usedUp(about, subject);
  return `${why}. Calls still pass, but make only those that you need.`;
}

/** The model's text of how little is left after an allowed call. At most 300 characters. */
export function nearMessage(about: AboutLimit): string {
  const { message } = about.limit.notice;
  return message === null ? fitting(about, (subject) => nearOf(about, subject)) : filled(message, about);
}

/** A denied call's text for programs and people: the limit, and when to retry. At most 300 characters. */
export function denialDetail(about: AboutLimit): string {
  return clipped(detailOf(about));
}

function detailOf(about: AboutLimit): string {
  const { verdict } = about;
  const { unit, remaining } = verdict;
  const scope = perOf(about.limit.per);
  if (isForbidden(about)) return `Not allowed: the limit is ${amount(0, unit)}${scope}.`;
  const own = wordsOf(about).detail(about.spec, about, scope);
  if (own !== null) return own;
  const limit = allowanceOf(about, scope);
  if (about.waitMs === null) return `Not possible: the limit is ${limit}, and this call needs ${needed(verdict)}.`;
  const why = remaining === 0 ? "" : `, ${left(verdict)} left, ${needed(verdict)} needed`;
  return `Limit reached: ${limit}${why}.${laterOf(about)}`;
}

/** When to come again, where the units come back by time. */
function laterOf(about: AboutLimit): string {
  const { verdict, spec, waitMs } = about;
  if (verdict.retryAfterMs !== null) return ` Retry after ${retryIn(verdict.retryAfterMs)}${wordsOf(about).retry}.`;
  return waitMs === null || !algorithmOf(spec).refills(spec) ? "" : ` Resets in ${retryIn(waitMs)}.`;
}

/** The text for programs and people of a call that is denied because the limit cannot be checked. */
export function awayDetail({ retryAfterMs }: Verdict): string {
  return `The limit cannot be checked at the moment. Retry after ${retryIn(retryAfterMs ?? 0)}.`;
}

function filled(template: string, { verdict, spec, used, waitMs }: AboutLimit): string {
  const ms = verdict.retryAfterMs ?? (algorithmOf(spec).refills(spec) ? waitMs : null);
  // The schema lets no other words through.
  const words = {
    ...verdict,
    cost: figure(verdict.cost, verdict, "up"),
    quota: figure(verdict.quota, verdict, "exact"),
    remaining: figure(verdict.remaining, verdict, "down"),
    used: figure(used, verdict, "up"),
    retryAfter: ms === null ? "never" : formatDuration(ms),
  };
  return clipped(template.replace(/\{(\w+)\}/g, (_, word: (typeof NOTICE_WORDS)[number]) => String(words[word])));
}

/** Money and time with their unit, as `$5.00` and `30 minutes`; other amounts as a number. */
function figure(units: number, { unit }: Verdict, rounding: Rounding): string {
  if (isMoney(unit)) return amount(units, unit, rounding);
  return unit === "ms" ? durationInWords(units, rounding === "down" ? "down" : "up") : String(units);
}

function clipped(text: string): string {
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH - 1)}…`;
}

/** Whole seconds, as the header field `Retry-After` has them. */
function retryIn(ms: number): string {
  return formatDuration(Math.max(1, Math.ceil(ms / 1_000)) * 1_000);
}

/** The first text that is not too long: with the tools' names, else without them, else cut. */
function fitting(about: AboutLimit, write: (subject: Subject) => string): string {
  const whole = write(subjectOf(about.limit.per, about.limit.tools, about.tool));
  if (whole.length <= MAX_LENGTH) return whole;
  const { per, tools } = about.limit;
  // An empty list is some tools without their names.
  return clipped(write(subjectOf(per, tools === null ? null : [], null)));
}

function denialOf(about: AboutLimit, subject: Subject): string {
  if (isForbidden(about)) return `${forbidden(about, subject)}. ${stop(about, subject)}`;
  const own = wordsOf(about).denial(about.spec, about, subject);
  if (own !== null) return own;
  const { retryAfterMs } = about.verdict;
  if (retryAfterMs === null) return `${whyShort(about, subject)}. ${(about.isFinal ? stop : smaller)(about, subject)}`;
  const why = about.isBorrowed ? noneFree(about, subject) : whyShort(about, subject);
  return `${why}. Try again in ${durationInWords(retryAfterMs, "up")}, or ${goOn(about, subject)}`;
}

function whyShort(about: AboutLimit, subject: Subject): string {
  const { limit, verdict, total, waitMs } = about;
  if (waitMs === null)
    return `this call needs ${needed(verdict)}, and the limit is ${allowanceOf(about, scopeOf(limit.per))}`;
  if (verdict.remaining > 0) return `${remainder(about, subject)}, and this call needs ${needed(verdict)}`;
  // `usedUp` says how many units there were, but not of a single one.
  return `${usedUp(about, subject)}${total === 1 && isForGood(about) ? ` (limit: ${allowanceOf(about)})` : ""}`;
}

/**
 * What the limit's algorithm says, else how little is left and what to do: "Only 3 of 10 calls are left in this turn. Finish
 * before that is used up." or "…; other tools are still available."
 */
function nearOf(about: AboutLimit, subject: Subject): string {
  const own = wordsOf(about).near(about.spec, about, subject);
  if (own !== null) return own;
  const { limit, verdict, isOpen } = about;
  const { remaining, resetAfterMs } = verdict;
  const others = isOpen ? `; ${countedOf(limit)?.known ?? "other tools are still available"}` : "";
  if (remaining > 0) {
    const last = isForGood(about) ? `. Finish before ${remaining === 1 ? "it is" : "that is"} used up.` : ".";
    // A limit of the model is partial, too, but leaves no other tools.
    const end = isPartial(limit) && !limit.isOfModel ? `${others}.` : last;
    return `${sentence(remainder(about, subject), subject)}${end}`;
  }
  const fact = sentence(usedUp(about, subject), subject);
  if (isForGood(about)) return `${fact}. ${stop(about, subject)}`;
  if (limit.isOfModel)
    return `${fact}. The next call of the model may have to wait for ${durationInWords(resetAfterMs, "up")}.`;
  const fresh = countedOf(limit)?.fresh;
  const what = fresh === undefined ? callAgain(subject) : `call ${fresh}`;
  return `${fact}. Wait up to ${durationInWords(resetAfterMs, "up")} before you ${what}${others}.`;
}

/** A sentence. A name that it begins with stays as it is written. */
function sentence(words: string, { text }: Subject): string {
  const isName = text !== null && words.startsWith(text) && !/^(?:this|tools) /.test(text);
  return isName ? words : capital(words);
}

/** `search has no calls left`; of all calls `no calls are left`. */
function clauseOf(subject: Subject, what: string, state: "left" | "free", isOne = false): string {
  return subject.text === null
    ? `${what} ${isOne ? "is" : "are"} ${state}`
    : `${subject.text} ${subject.isMany ? "have" : "has"} ${what} ${state}`;
}

/** That nothing is left, and of how much. */
function usedUp(about: AboutLimit, subject: Subject): string {
  const { limit, verdict, total } = about;
  const { unit } = verdict;
  const scope = scopeOf(limit.per);
  const isAll = isForGood(about);
  if (isMoney(unit)) {
    const budget = isAll ? amount(total, unit) : allowanceOf(about);
    return `the budget of ${budget}${forSubject(subject)}${scope} is used up`;
  }
  const fact = `${clauseOf(subject, `no ${nounIn(about)}`, "left")}${scope}`;
  if (!isAll) return `${fact} for now (limit: ${allowanceOf(about)})`;
  return total === 1 ? fact : `${fact}: all ${grouped(total)} are used`;
}

/** That nothing is free now, although not all of it is used. */
function noneFree(about: AboutLimit, subject: Subject): string {
  const isInMoney = isMoney(about.verdict.unit);
  const what = `no ${isInMoney ? "money" : nounIn(about)}`;
  return `${clauseOf(subject, what, "free", isInMoney)}${scopeOf(about.limit.per)} at the moment`;
}

/** How much is left, and of how much. */
function remainder(about: AboutLimit, subject: Subject): string {
  const { limit, verdict, total } = about;
  const { unit, remaining } = verdict;
  const isAll = isForGood(about);
  const some = !isAll
    ? left(verdict)
    : isMoney(unit)
      ? `${left(verdict)} of ${amount(total, unit)}`
      : `${grouped(remaining)} of ${grouped(total)} ${nounIn(about, total)}`;
  const fact = clauseOf(subject, `only ${some}`, "left", isMoney(unit) || remaining === 1);
  return `${fact}${scopeOf(limit.per)}${isAll ? "" : ` for now (limit: ${allowanceOf(about)})`}`;
}

function nounIn({ limit, verdict }: About, count = 0): string {
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

function forbidden(about: AboutLimit, subject: Subject): string {
  const { limit } = about;
  const { unit } = about.verdict;
  const scope = callerOf(limit.per);
  if (unit === "calls" && subject.text !== null)
    return `${subject.text} ${subject.isMany ? "are" : "is"} not allowed${scope}`;
  const what = isMoney(unit) ? "spending is" : `${nounIn(about)} are`;
  return `no ${what} allowed${forSubject(subject)}${scope}`;
}

function smaller(about: AboutLimit, subject: Subject): string {
  return `Make a smaller call, or ${goOn(about, subject)}`;
}

/** Whether nothing is allotted. */
function isForbidden({ verdict: { quota } }: About): boolean {
  return quota === 0;
}

/** Whether a call is denied because of those before it, and not for what it is. */
function isReached(about: AboutLimit): boolean {
  return !isForbidden(about) && wordsOf(about).isReached(about);
}

/** Whether no period brings units back: a scope that goes on has these units alone. */
function isForGood(about: AboutLimit): boolean {
  const { countsUnits, refills } = algorithmOf(about.spec);
  return countsUnits && !refills(about.spec);
}

/** What a limit allows, and in which time: `5 calls per hour`, `60 calls per minute, at most 10 at once`. */
function allowanceOf(about: AboutLimit, scope = ""): string {
  const { limit, verdict, spec, total } = about;
  const { unit, quota } = verdict;
  const count = isForGood(about) ? total : quota;
  const units = limit.distinct === null ? amount(count, unit) : `${grouped(count)} ${nounIn(about, count)}`;
  const words = wordsOf(about);
  return `${units}${words.period(spec, about)}${scope}${words.burst(spec, about)}`;
}
