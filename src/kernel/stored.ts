// What a store keeps under one key, and how it is written as text: a plain integer where only units are spent, else
// `<tag><version> …`. The tags: s and g are algorithms' own, h has holds, o is an answer that is kept, r are receipts, m is
// the mark of the store's incarnation.

import { isEnd, isInstant } from "./algorithms/algorithm.ts";
import { decodeSpent, encodeSpent } from "./algorithms/registry.ts";
import { levelIn } from "./algorithms/token-bucket.ts";
import { decodeMark, decodeReceipts, encodeMark, encodeReceipts } from "./receipts.ts";
import type { StepReply } from "./request.ts";
import type { HeldState, Hold, OnceState, StoredState } from "./state.ts";

const KINDS = {
  c: "counter",
  s: "sliding-window",
  g: "token-bucket",
  n: "concurrency",
  e: "elapsed",
  k: "streak",
} as const;

const ENDS = { c: "charge", r: "refund", g: "grant", p: "place", m: "memo" } as const;

/** A state as text, for stores that keep text. */
export function encodeState(state: StoredState): string {
  if (state.kind === "held") return encodeHeld(state);
  if (state.kind === "receipts") return encodeReceipts(state);
  if (state.kind === "mark") return encodeMark(state);
  return state.kind === "once" ? encodeOnce(state) : encodeSpent(state);
}

/**
 * The state that `encodeState` wrote, or `null` when the text is damaged. What is not `null` is safe to decide on: its
 * numbers are in order, its instants are at most 2^52, and its sums stay below 2^53.
 */
export function decodeState(text: string, expiresAtMs: number): StoredState | null {
  if (text.startsWith("h")) return decodeHeld(text, expiresAtMs);
  if (text.startsWith("o")) return decodeOnce(text, expiresAtMs);
  if (text.startsWith("r")) return decodeReceipts(text, expiresAtMs);
  if (text.startsWith("m")) return decodeMark(text, expiresAtMs);
  return decodeSpent(text, expiresAtMs);
}

function encodeHeld({ of, spent, holds }: HeldState): string {
  const tag = Object.entries(KINDS).find(([, kind]) => kind === of)?.[0];
  const text = `h1 ${tag} ${holds.map(encodeHold).join(";")}`;
  return spent === undefined ? text : `${text} ${spent.expiresAtMs} ${encodeSpent(spent)}`;
}

function encodeHold({ id, units, expiresAtMs, leaseMs, onExpiry, becomes, expired, mark }: Hold): string {
  const letter = onExpiry.charAt(0);
  const text = `${id},${units},${expiresAtMs},${expired ? letter.toUpperCase() : letter}${leaseMs ?? ""}`;
  if (becomes !== undefined) return `${text},${becomes.onExpiry.charAt(0)}${becomes.leaseMs}`;
  return mark === null ? text : `${text},${mark.baseMs},${mark.level},${mark.levelPerUnit}`;
}

const HOLD =
  /^([\w-]{1,64}),([0-9]+),([0-9]+),([crgpCRGM])(0|[1-9][0-9]*)?(?:,([0-9]+),([0-9]+),([1-9][0-9]*)|,([cr])(0|[1-9][0-9]*))?$/;

function decodeHeld(text: string, expiresAtMs: number): HeldState | null {
  const match = /^h1 ([csgnek]) (\S+)(?: ([0-9]+) (.+))?$/.exec(text);
  if (match === null || !isEnd(expiresAtMs)) return null;
  const of = KINDS[match[1] as keyof typeof KINDS];
  const holds = (match[2] ?? "").split(";").map(decodeHold);
  if (!holds.every((hold) => hold !== null) || !areInOrder(holds, of)) return null;
  if (match[4] === undefined) return { kind: "held", expiresAtMs, of, spent: undefined, holds };
  const spent = decodeSpent(match[4], Number(match[3]));
  return spent?.kind === of ? { kind: "held", expiresAtMs, of, spent, holds } : null;
}

function decodeHold(text: string): Hold | null {
  const match = HOLD.exec(text);
  if (match === null) return null;
  const [, id = "", unitsText, expires, letter = "", lease, base, level, levelPerUnit, later, laterLease] = match;
  const [units, expiresAtMs, leaseMs] = [Number(unitsText), Number(expires), Number(lease ?? 0)];
  const laterMs = Number(laterLease ?? 0);
  const mark = base === undefined ? null : levelIn(base, level, levelPerUnit);
  const isMarked = mark !== null || base === undefined;
  if (!Number.isSafeInteger(units) || !isInstant(expiresAtMs) || !isInstant(leaseMs) || !isMarked) return null;
  if (!isInstant(expiresAtMs + laterMs)) return null;
  return {
    id,
    units,
    expiresAtMs,
    ...(lease === undefined ? {} : { leaseMs }),
    onExpiry: ENDS[letter.toLowerCase() as keyof typeof ENDS],
    ...(later === undefined ? {} : { becomes: { onExpiry: later === "c" ? "charge" : "refund", leaseMs: laterMs } }),
    expired: letter !== letter.toLowerCase(),
    mark,
  };
}

/** Whether holds are sorted by their ends, and marked, or about to become holds, on token buckets alone. */
function areInOrder(holds: readonly Hold[], of: HeldState["of"]): boolean {
  return holds.every(({ expiresAtMs, onExpiry, becomes, mark }, i) => {
    const mayBeMarked = of === "token-bucket" && (onExpiry === "charge" || onExpiry === "refund");
    const mayBecome = of === "token-bucket" && onExpiry === "place";
    return (
      (mark === null || mayBeMarked) &&
      (becomes === undefined || mayBecome) &&
      (holds[i - 1]?.expiresAtMs ?? 0) <= expiresAtMs
    );
  });
}

function encodeOnce({ request, hold, nowMs, allowed, waitMs, units, steps, isTold }: OnceState): string {
  const texts = steps.map((step, i) => encodeStep(step, units[i] ?? 0));
  const answer = `${allowed ? 1 : 0}${waitMs === 0 ? "" : `+${waitMs}`}`;
  return `o1${isTold ? "t" : ""} ${request} ${hold ?? "."} ${nowMs} ${answer} ${texts.join(";")}`;
}

function encodeStep({ used, granted, resetAfterMs, retryAfterMs, hold }: StepReply, units: number): string {
  return `${units},${used}${granted === undefined ? "" : `+${granted}`},${resetAfterMs},${retryAfterMs ?? "-"},${hold ?? "-"}`;
}

/** Without a zero before others: a text is written anew when its answer is told, and must be the same. */
const WHOLE = "(0|[1-9][0-9]*)";
const STEP = new RegExp(`^${WHOLE},${WHOLE}(?:\\+${WHOLE})?,${WHOLE},(0|[1-9][0-9]*|-),(live|late|unknown|-)$`);
const ONCE = new RegExp(`^o1(t?) ([\\w-]{1,64}) ([\\w-]{1,64}|\\.) ${WHOLE} (0|1(?:\\+([1-9][0-9]*))?) (\\S*)$`);

function decodeOnce(text: string, expiresAtMs: number): OnceState | null {
  const match = ONCE.exec(text);
  if (match === null) return null;
  const [, told, request = "", hold = "", now, allowed, wait, list = ""] = match;
  const [nowMs, waitMs] = [Number(now), Number(wait ?? 0)];
  const steps = list === "" ? [] : list.split(";").map(decodeStep);
  const areInstants = isEnd(expiresAtMs) && isInstant(nowMs) && isInstant(waitMs);
  if (!areInstants || !steps.every((step) => step !== null)) return null;
  return {
    kind: "once",
    expiresAtMs,
    request,
    hold: hold === "." ? null : hold,
    nowMs,
    allowed: allowed !== "0",
    waitMs,
    units: steps.map(({ units }) => units),
    steps: steps.map(({ reply }) => reply),
    isTold: told === "t",
  };
}

function decodeStep(text: string): { readonly units: number; readonly reply: StepReply } | null {
  const match = STEP.exec(text);
  if (match === null) return null;
  const [, unitsText, usedText, grantedText, resetText, retryText, found] = match;
  const isNever = retryText === "-";
  const [units = 0, used = 0, granted = 0, resetAfterMs = 0, retryMs = 0] = [
    unitsText,
    usedText,
    grantedText ?? 0,
    resetText,
    isNever ? 0 : retryText,
  ].map(Number);
  if (![units, used, granted, resetAfterMs, retryMs].every(Number.isSafeInteger)) return null;
  const reply = {
    allowed: retryText === "0",
    used,
    ...(grantedText === undefined ? {} : { granted }),
    resetAfterMs,
    retryAfterMs: isNever ? null : retryMs,
    ...(found === "-" ? {} : { hold: found as NonNullable<StepReply["hold"]> }),
  };
  return { units, reply };
}
