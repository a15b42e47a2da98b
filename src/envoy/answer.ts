// Answers to Envoy: decisions as a RateLimitResponse, in the field names of envoy/service/ratelimit/v3/rls.proto.

import type { Decision, Denied, Verdict } from "../kernel/decision.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";

/** A `RateLimitResponse`. */
export interface Response {
  readonly overallCode: Code;
  readonly statuses: readonly Status[];
  readonly responseHeadersToAdd?: readonly { readonly key: string; readonly value: string }[];
  readonly rawBody?: Uint8Array;
  readonly dynamicMetadata?: Struct;
}

type Code = "OK" | "OVER_LIMIT";

/** A `DescriptorStatus`. */
interface Status {
  readonly code: Code;
  readonly currentLimit?: { readonly name: string; readonly requestsPerUnit: number; readonly unit: Unit };
  readonly limitRemaining?: number;
  readonly durationUntilReset?: { readonly seconds: number; readonly nanos: number };
}

type Unit = "UNKNOWN" | "SECOND" | "MINUTE" | "HOUR" | "DAY" | "WEEK" | "MONTH";
/** A `google.protobuf.Struct`, whose values `plainValue` makes. */
interface Struct {
  readonly fields: Readonly<Record<string, object>>;
}

/** What an answer is made from beside the decisions. */
interface AnswerParts {
  readonly headers: boolean;
  readonly metadata: boolean;
  /** Knows the units of calendar windows; `null`: their unit is `UNKNOWN`. */
  readonly policy: CompiledPolicy | null;
}

const MAX_UINT32 = 0xffff_ffff;

/** The answer for a request: a decision for each descriptor, `null` for a descriptor without a limit. */
export function answerOf(decisions: readonly (Decision | null)[], parts: AnswerParts): Response {
  const decided = decisions.flatMap((decision) => decision ?? []);
  const denied = decided.filter((decision) => !decision.allowed);
  const headers = [...(parts.headers ? draft3Fields(decided) : []), ...retryFields(denied)];
  return {
    overallCode: denied.length > 0 ? "OVER_LIMIT" : "OK",
    statuses: decisions.map((decision) => statusOf(decision, parts.policy)),
    ...(headers.length > 0 ? { responseHeadersToAdd: headers } : {}),
    ...(denied[0] === undefined ? {} : { rawBody: new TextEncoder().encode(denied[0].detail) }),
    ...(parts.metadata ? { dynamicMetadata: metadataOf(decisions) } : {}),
  };
}

const UNITS = new Map<number, Unit>([
  [1_000, "SECOND"],
  [60_000, "MINUTE"],
  [3_600_000, "HOUR"],
  [86_400_000, "DAY"],
  [604_800_000, "WEEK"],
]);
const CALENDAR_UNITS = { day: "DAY", week: "WEEK", month: "MONTH" } as const;

/** Envoy's unit of a limit's window: by its length or, for a calendar window, by the policy. */
function unitOf({ limit, windowMs }: Verdict, policy: CompiledPolicy | null): Unit {
  if (windowMs !== null) return UNITS.get(windowMs) ?? "UNKNOWN";
  const calendar = policy?.limits.find(({ name }) => name === limit)?.calendar;
  return calendar ? CALENDAR_UNITS[calendar.every] : "UNKNOWN";
}

function statusOf(decision: Decision | null, policy: CompiledPolicy | null): Status {
  if (decision === null) return { code: "OK" };
  const code = decision.allowed ? "OK" : "OVER_LIMIT";
  const verdict = tightestOf([decision]);
  if (verdict === undefined) return { code };
  const { limit: name, quota, remaining, resetAfterMs } = verdict;
  return {
    code,
    currentLimit: { name, requestsPerUnit: Math.min(quota, MAX_UINT32), unit: unitOf(verdict, policy) },
    limitRemaining: Math.min(remaining, MAX_UINT32),
    durationUntilReset: { seconds: Math.floor(resetAfterMs / 1_000), nanos: (resetAfterMs % 1_000) * 1_000_000 },
  };
}

/** The verdict of a limit that denies calls and has a quota. */
type Shown = Verdict & { readonly quota: number; readonly capacity: number; readonly remaining: number };

function isShown(verdict: Verdict): verdict is Shown {
  return verdict.mode === "enforce" && verdict.quota !== null;
}

/** Of the limits that bind denied calls, the one that keeps its call waiting longest; else the one with the smallest share left. */
function tightestOf(decisions: readonly Decision[]): Shown | undefined {
  const binding = decisions.flatMap(({ verdicts, deniedBy }) => {
    return verdicts.filter(isShown).filter(({ limit }) => limit === deniedBy);
  });
  const waitOf = ({ retryAfterMs }: Verdict) => retryAfterMs ?? Number.POSITIVE_INFINITY;
  if (binding.length > 0) return binding.reduce((longest, each) => (waitOf(each) > waitOf(longest) ? each : longest));
  const shareOf = ({ remaining, capacity }: Shown) => (capacity === 0 ? 0 : remaining / capacity);
  const shown = decisions.flatMap(({ verdicts }) => verdicts.filter(isShown));
  return shown.sort((one, other) => shareOf(one) - shareOf(other))[0];
}

/** The header fields that Envoy's own service and filter use, by draft 3 of polli-ratelimit-headers. */
function draft3Fields(decided: readonly Decision[]): { key: string; value: string }[] {
  const verdict = tightestOf(decided);
  if (verdict === undefined) return [];
  return [
    { key: "x-ratelimit-limit", value: String(verdict.capacity) },
    { key: "x-ratelimit-remaining", value: String(verdict.remaining) },
    { key: "x-ratelimit-reset", value: String(Math.ceil(verdict.resetAfterMs / 1_000)) },
  ];
}

/** When a denied request may be sent again; nothing where waiting does not help. */
function retryFields(denied: readonly Denied[]): { key: string; value: string }[] {
  const waits = denied.flatMap(({ retryAfterMs }) => retryAfterMs ?? []);
  if (waits.length === 0 || waits.length < denied.length) return [];
  return [{ key: "retry-after", value: String(Math.ceil(Math.max(...waits) / 1_000)) }];
}

/** The verdicts, from the policy's names and numbers alone. */
function metadataOf(decisions: readonly (Decision | null)[]): Struct {
  const list = decisions.map((decision) => ({
    allowed: decision?.allowed ?? true,
    degraded: decision?.degraded != null,
    ...(decision?.deniedBy == null ? {} : { deniedBy: decision.deniedBy }),
    verdicts: (decision?.verdicts ?? []).map(({ limit, allowed, exceeded, mode, unit, cost, quota, remaining }) => {
      const counts = quota === null ? {} : { quota, remaining: remaining ?? 0 };
      return { limit, allowed, exceeded, mode, unit, cost, ...counts };
    }),
  }));
  return { fields: { descriptors: plainValue(list) } };
}

type Plain = string | number | boolean | readonly Plain[] | { readonly [key: string]: Plain };

function plainValue(plain: Plain): object {
  if (typeof plain === "string") return { stringValue: plain };
  if (typeof plain === "number") return { numberValue: plain };
  if (typeof plain === "boolean") return { boolValue: plain };
  if (Array.isArray(plain)) return { listValue: { values: plain.map(plainValue) } };
  const fields = Object.entries(plain).map(([key, value]) => [key, plainValue(value)] as const);
  return { structValue: { fields: Object.fromEntries(fields) } };
}
