// An answer that is kept as text: `o1 <request> <hold or .> <nowMs> <0, 1 or 1+waitMs> <step>;…`, with `o1t` once it was
// given again. A step is `<units>,<used>[+<granted>],<resetAfterMs>,<retryAfterMs or ->,<live, late, unknown or ->`.

import { isEnd, isInstant, isUnits } from "../algorithms/rules/rules.ts";
import type { StepReply } from "../request.ts";
import type { OnceState } from "../state.ts";
import { codeAt, find, numberOf, partOf, shortList, textOf } from "../lua.ts";
import type { Writable } from "../writable.ts";
import { isCanonical, MAX_ID_LENGTH } from "./digits.ts";

const HEAD = "^o1(t?) ([%w_-]+) ([%w_.-]+) (%d+) ([01])(%+?)(%d*) ";
const STEP = "^(%d+),(%d+)(%+?)(%d*),(%d+),([%d-]+),([a-z-]+)";
const SEMICOLON = 59;
const PLUS = "+";

export function encodeOnce(state: OnceState): string {
  const { hold, waitMs, units, steps } = state;
  const texts = shortList<string>();
  for (let i = 0; i < steps.length; i++) texts.push(encodeStep(steps[i] as StepReply, units[i] as number));
  const head = `${state.isTold ? "o1t " : "o1 "}${state.request} ${hold === null ? "." : hold} ${textOf(state.nowMs)}`;
  const wait = waitMs === 0 ? "" : `+${textOf(waitMs)}`;
  return `${head}${state.allowed ? " 1" : " 0"}${wait} ${texts.join(";")}`;
}

function encodeStep(reply: StepReply, units: number): string {
  const { granted, retryAfterMs, found } = reply;
  const more = granted === undefined ? "" : `+${textOf(granted)}`;
  const retry = retryAfterMs === null ? "-" : textOf(retryAfterMs);
  const how = found === undefined ? "-" : found;
  return `${textOf(units)},${textOf(reply.used)}${more},${textOf(reply.resetAfterMs)},${retry},${how}`;
}

export function decodeOnce(text: string, expiresAtMs: number): OnceState | null {
  const [head, last, told, request, hold, now, answer, plus, wait] = find(text, HEAD);
  if (head === undefined || last === undefined || request === undefined || hold === undefined) return null;
  if (told === undefined || now === undefined || answer === undefined || plus === undefined) return null;
  const nowMs = numberOf(now);
  if (!isEnd(expiresAtMs) || !isInstant(nowMs) || !isCanonical(now) || !areIds(request, hold)) return null;
  const waitMs = waitIn(answer, plus, wait === undefined ? "" : wait);
  const units: number[] = [];
  const steps: StepReply[] = [];
  if (waitMs === null || !readSteps(units, steps, text, last + 1)) return null;
  const isTold = told === "t";
  const allowed = answer === "1";
  const heldId = hold === "." ? null : hold;
  return { kind: "once", expiresAtMs, nowMs, allowed, waitMs, request, hold: heldId, units, steps, isTold };
}

function areIds(request: string, hold: string): boolean {
  if (request.length > MAX_ID_LENGTH || hold.length > MAX_ID_LENGTH) return false;
  const [id] = find(hold, "^[%w_-]+$");
  return hold === "." || id !== undefined;
}

function waitIn(answer: string, plus: string, digits: string): number | null {
  if (plus === "") return digits === "" ? 0 : null;
  if (answer === "0" || digits === "" || partOf(digits, 1, 1) === "0") return null;
  const waitMs = numberOf(digits);
  return isInstant(waitMs) ? waitMs : null;
}

/** Reads all steps from a position on. Returns whether none is damaged. */
function readSteps(units: number[], steps: StepReply[], text: string, first: number): boolean {
  let from = first;
  while (from <= text.length) {
    const [head, last, taken, used, plus, more, reset, retry, found] = find(text, STEP, from);
    if (head === undefined || last === undefined || taken === undefined || used === undefined) return false;
    if (plus === undefined || more === undefined || reset === undefined) return false;
    if (retry === undefined || found === undefined || !isCount(taken)) return false;
    const reply = replyIn(used, reset, retry, found);
    if (reply === null || !readGranted(reply, plus, more)) return false;
    units.push(numberOf(taken));
    steps.push(reply);
    if (last === text.length) return true;
    if (codeAt(text, last + 1) !== SEMICOLON || last + 1 === text.length) return false;
    from = last + 2;
  }
  return true;
}

/** Whether digits are a number of units or of ms, as it is written. */
function isCount(digits: string): boolean {
  return isCanonical(digits) && isUnits(numberOf(digits));
}

function replyIn(used: string, reset: string, retry: string, found: string): Writable<StepReply> | null {
  if (!isCount(used) || !isCount(reset)) return null;
  const [digits] = find(retry, "^%d+$");
  if (retry !== "-" && (digits === undefined || !isCount(retry))) return null;
  const retryAfterMs = retry === "-" ? null : numberOf(retry);
  const reply: Writable<StepReply> = {
    allowed: retry === "0",
    used: numberOf(used),
    resetAfterMs: numberOf(reset),
    retryAfterMs,
  };
  if (found === "live" || found === "late" || found === "unknown") reply.found = found;
  else if (found !== "-") return null;
  return reply;
}

function readGranted(reply: Writable<StepReply>, plus: string, digits: string): boolean {
  if (plus !== PLUS) return digits === "";
  if (digits === "" || !isCount(digits)) return false;
  reply.granted = numberOf(digits);
  return true;
}
