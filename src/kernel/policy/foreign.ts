// Keys of limits as other tools have them, which are more than another word for one key, and what to write instead.

import { MAX_TEXT, textOf, windowed } from "./place.ts";
import { isCalendarWord } from "./amounts.ts";
import { quantityOf } from "../quantity.ts";
import { durationFrom, microsOf, moneyFrom, rateFrom, rateKey } from "./values.ts";
import { plainOf } from "../spelling.ts";

type Limit = Readonly<Record<string, unknown>>;
type Foreign = readonly [key: RegExp, hint: string | ((given: Given) => string | null)];

interface Given {
  readonly key: string;
  readonly value: unknown;
  readonly limit: Limit;
  /** What the pattern of the key holds. */
  readonly found: readonly string[];
}

const COUNT = "(?:max|limit|quota|budget|cap|total|calls?|requests?|uses|tokens?)*";
const DIMENSION = "(session|user|tenant|turn|agent|model|tool|group)";
const SPANS: Readonly<Record<string, string>> = { hourly: "1h", daily: "day", weekly: "week", monthly: "month" };

/** By the key without case, hyphens and underscores. */
const FOREIGN: readonly Foreign[] = [
  [/^(shadow|dryrun|reportonly|logonly)$/, (given) => write(given, "mode: shadow")],
  [
    /^(?:max)?(?:concurrent|concurrency|parallel|simultaneous)(?:calls|requests|runs)?$|^(?:max)?inflight$/,
    ({ key }) => `Write "algorithm: concurrency" and "quota" instead of "${key}".`,
  ],
  [/^default$/, 'Write "quota" for all values that "quotas" does not name.'],
  [
    new RegExp(`^${COUNT}per${DIMENSION}$|^${DIMENSION}(?:limit|quota|max|budget|cap)$`),
    ({ found: [one, other], ...given }) =>
      write(given, `per: [${one ?? other}], ${unitOf(given.key)}${quotaOf(given.value)}`),
  ],
  [
    /^(hourly|daily|weekly|monthly)(?:limit|quota|max|budget|calls|cap|requests|tokens)*$/,
    ({ found: [span = ""], ...given }) =>
      write(given, inWindow("fixed-window", `${unitOf(given.key)}${quotaOf(given.value)}`, SPANS[span] ?? "")),
  ],
  [
    /^(?:max|limit|budget|total)*tokens?(?:max|limit|budget|quota|cap)*$/,
    (given) => write(given, `unit: tokens, ${quotaOf(given.value)}`),
  ],
  [
    /^(?:max|limit|budget|total)*(?:cost|spend|usd|dollars|money|price)+(?:max|limit|budget|usd|quota|cap)+$|^(?:max|limit|budget|total)+(?:cost|spend|usd|dollars|money|price)+$|^usd$|^dollars$|^spend$/,
    (given) => write(given, moneyOf(given.value)),
  ],
  [
    /^cost$/,
    "What a call costs is said by its tool: tools: { search: { cost: { tokens: 5 } } }. A limit counts it by its unit.",
  ],
  [
    /^(window|period|interval|duration|ttl|lease)(?:in)?(ms|millis|milliseconds|s|secs?|seconds|m|mins?|minutes|h|hours|d|days)$/,
    ({ found: [word = "", unit = ""], ...given }) => {
      const span = Number.isInteger(given.value) ? durationFrom(`${given.value}${unit}`) : null;
      if (span === null) return null;
      if (word === "ttl") return write(given, `resetAfterIdle: ${span}`);
      if (word === "lease") return write(given, `hold: { lease: ${span} }`);
      const needed = given.limit.algorithm === undefined ? ` A window needs an algorithm. Add ${windowed(span)}.` : "";
      return `${write(given, `window: ${span}`)}${needed}`;
    },
  ],
  [
    /^(refill|replenish|leak|drain)(rate|interval|amount|every|persecond)?$/,
    'A token bucket gets its quota in each window: write "algorithm: token-bucket", quota, window and burst.',
  ],
  [
    /^min(?:imum)?(?:interval|gap|delay|pause|wait)(?:ms|seconds|s)?$|^(?:delay|throttle|debounce|pause)(?:ms|seconds|s)?$/,
    'For a pause between two calls, write "algorithm: cooldown" and "pause: 2s".',
  ],
  [
    /^(cooldown|backoff|penalty|block(duration|for|time)|ban(duration)?|retryafter)(ms|seconds|s)?$/,
    "Remove it: a denied call is told when to try again.",
  ],
  [/^(enabled?|active|disabled?)$/, 'Remove it. A limit with "mode: shadow" counts and never denies.'],
  [/^(priority|order|rank)$/, "Remove it: a call must pass all limits that match."],
  [
    /^(on|when)(exceed(ed)?|limit(reached)?|den(y|ied)|over(limit|quota)?|breach|violation)$|^(exceed|over|limit)(action|behaviou?r)$|^(behaviou?r|action)$/,
    afterDenial,
  ],
];

/** What to write instead of a key of a limit that other tools have; `null` where there is no guess. */
export function hintForForeign(key: string, value: unknown, limit: Limit): string | null {
  const rate = rateOf(key, value);
  if (rate !== null) return write({ key, limit }, rate);
  const plain = plainOf(key);
  for (const [pattern, hint] of FOREIGN) {
    const match = pattern.exec(plain);
    if (match === null) continue;
    return typeof hint === "string" ? hint : hint({ key, value, limit, found: match.slice(1) });
  }
  return null;
}

/** Whether a key says how much may pass, as other tools have it. */
export function isQuotaKey(key: string): boolean {
  return rateKey(key) !== null || hintForForeign(key, 5, {})?.includes("quota: 5") === true;
}

function write({ key, limit }: Pick<Given, "key" | "limit">, text: string): string {
  const isOwn =
    (limit.quota !== undefined && text.includes("quota:")) || (limit.per !== undefined && /^per:/.test(text));
  return isOwn ? `Write it in a limit of its own, with "${text}".` : `Write "${text}" instead of "${key}".`;
}

function afterDenial(given: Given): string {
  const action = textOf(given.value).slice(0, MAX_TEXT);
  if (/warn|notify|allow/i.test(action)) return write(given, "mode: warn");
  return /log|report|shadow/i.test(action)
    ? write(given, "mode: shadow")
    : `Remove "${given.key}": a call over the quota is denied.`;
}

function unitOf(key: string): string {
  return /token/i.test(key) ? "unit: tokens, " : "";
}

function quotaOf(value: unknown): string {
  return `quota: ${Number.isInteger(value) ? value : 60}`;
}

function moneyOf(value: unknown): string {
  const given = moneyFrom(typeof value === "number" ? `${value} usd` : textOf(value).slice(0, MAX_TEXT));
  const { unit, micros } = given ?? { unit: "usd_micros", micros: microsOf(5) };
  return `unit: ${unit}, quota: ${quantityOf(micros, unit)}`;
}

/** A rate that is one key elsewhere: `rpm: 60`, `rate: 60/min`. */
function rateOf(key: string, value: unknown): string | null {
  const named = rateKey(key);
  if (named !== null) {
    const unit = named.unit === "calls" ? "" : `unit: ${named.unit}, `;
    return inWindow("token-bucket", `${unit}${quotaOf(value)}`, named.window);
  }
  const rate = typeof value === "string" && value.length <= MAX_TEXT ? rateFrom(value) : null;
  return rate === null ? null : inWindow("token-bucket", `quota: ${rate.quota}`, rate.window);
}

/** A quota in a window, with the algorithm that a window of another length than the calendar's needs. */
function inWindow(algorithm: string, quota: string, window: string): string {
  return `${isCalendarWord(window) ? "" : `algorithm: ${algorithm}, `}${quota}, window: ${window}`;
}
