// An answer that is kept as text: `o1 <request> <hold or .> <nowMs> <0, 1 or 1+waitMs> <step>;…`, with `o1t` once it was
// given again. A step is `<units>,<used>[+<granted>],<resetAfterMs>,<retryAfterMs or ->,<live, late, unknown or ->`.

import { isEnd, isInstant } from "../algorithms/algorithm.ts";
import { FOUND, type StepReply } from "../request.ts";
import type { OnceState } from "../state.ts";
import { listIn, wholeIn } from "./scan.ts";

export function encodeOnce({ request, hold, nowMs, allowed, waitMs, units, steps, isTold }: OnceState): string {
  const texts = steps.map((step, i) => encodeStep(step, units[i] ?? 0));
  const answer = `${allowed ? 1 : 0}${waitMs === 0 ? "" : `+${waitMs}`}`;
  return `o1${isTold ? "t" : ""} ${request} ${hold ?? "."} ${nowMs} ${answer} ${texts.join(";")}`;
}

function encodeStep({ used, granted, resetAfterMs, retryAfterMs, found }: StepReply, units: number): string {
  return `${units},${used}${granted === undefined ? "" : `+${granted}`},${resetAfterMs},${retryAfterMs ?? "-"},${found ?? "-"}`;
}

const ONCE = /^o1(t?) ([\w-]{1,64}) (\.|[\w-]{1,64}) (\d+) (0|1(?:\+[1-9]\d*)?) ([^ ]*)$/;

export function decodeOnce(text: string, expiresAtMs: number): OnceState | null {
  const [, told, request, hold, now, answer = "", list] = ONCE.exec(text) ?? [];
  const nowMs = wholeIn(now);
  const waitMs = Number(answer.slice("1+".length));
  if (request === undefined || hold === undefined || list === undefined) return null;
  if (!isEnd(expiresAtMs) || !isInstant(nowMs) || !isInstant(waitMs)) return null;
  const steps = list === "" ? [] : listIn(list, ";", decodeStep);
  if (steps === null) return null;
  return {
    kind: "once",
    expiresAtMs,
    request,
    hold: hold === "." ? null : hold,
    nowMs,
    allowed: answer !== "0",
    waitMs,
    units: steps.map(({ units }) => units),
    steps: steps.map(({ reply }) => reply),
    isTold: told === "t",
  };
}

function decodeStep(text: string): { readonly units: number; readonly reply: StepReply } | null {
  const [unitsText, usedText = "", resetText, retryText, foundText, ...rest] = text.split(",");
  const [spentText, grantedText, ...more] = usedText.split("+");
  const retryAfterMs = retryText === "-" ? null : wholeIn(retryText);
  const units = wholeIn(unitsText);
  const used = wholeIn(spentText);
  const resetAfterMs = wholeIn(resetText);
  const granted = grantedText === undefined ? 0 : wholeIn(grantedText);
  if (![units, used, granted, resetAfterMs, retryAfterMs ?? 0].every(Number.isSafeInteger)) return null;
  const found = FOUND.find((each) => each === foundText);
  if ((found === undefined && foundText !== "-") || rest.length > 0 || more.length > 0) return null;
  const reply = {
    allowed: retryAfterMs === 0,
    used,
    ...(grantedText === undefined ? {} : { granted }),
    resetAfterMs,
    retryAfterMs,
    ...(found === undefined ? {} : { found }),
  };
  return { units, reply };
}
