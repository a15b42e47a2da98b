// A policy: from what is written to what a call is judged by. Everything that can be wrong with it is found here, once.

import type { LimitSpec } from "./algorithms/registry.ts";
import { CALL_WORDS, type Cost, DERIVED_DIMENSIONS, DIMENSIONS, type Dimension } from "./call.ts";
import { parseDuration } from "./duration.ts";
import { type Fault, formatGot, MisuseError } from "./errors.ts";
import { matchesGlob } from "./glob.ts";
import { type Hold, MAX_HOLDS } from "./holds.ts";
import { type LimitInput, type PolicyInput, policySchema, type QuotaInput } from "./policy-schema.ts";

const POLICY = Symbol.for("tollgate.policy");

/** Of `limits[0].quotas.name`; no accepted policy is deeper. */
const MAX_DEPTH = 4;

/** What a bucket is allotted, and the numbers that its algorithm takes. */
export interface Allotment {
  readonly quota: number;
  readonly spec: LimitSpec;
}

/** An allotment for calls with these dimensions; `null` where the limit does not apply to them. */
export interface Override {
  readonly when: readonly (readonly [dimension: Dimension, value: string])[];
  readonly allotment: Allotment | null;
}

/** One limit, ready to judge by. */
export interface Limit {
  readonly name: string;
  readonly per: readonly Dimension[];
  readonly unit: string;
  readonly optional: boolean;
  /** Whether it only counts and reports. */
  readonly isShadow: boolean;
  /** From which share of the quota on a call gets a notice; `null` for never. */
  readonly noticeAt: number | null;
  /** What a denied model is told instead of the usual text. */
  readonly message: string | null;
  /** Whether it is for a tool. */
  matches(tool: string): boolean;
  /** Other allotments for some callers: the first whose dimensions all have these values. */
  readonly overrides: readonly Override[];
  /** How long its holds live unless they are extended. */
  readonly leaseMs: number;
  readonly onExpiry: Hold["onExpiry"];
  /** By value of the last dimension of `per`; `null` where the limit does not apply. */
  readonly allotments: ReadonlyMap<string, Allotment | null>;
  /** For every other value. */
  readonly otherwise: Allotment | null;
}

/** The named limits that apply to calls. Made by `definePolicy`, `parsePolicy` or `loadPolicy`. */
export interface Policy {
  readonly partition: Dimension;
  /** What a call of a tool costs unless it says otherwise. */
  readonly costs: ReadonlyMap<string, Cost>;
  readonly limits: readonly Limit[];
  /** What a call costs that `run` made and that failed. */
  readonly onError: "charge" | "refund";
  /** The units that some limit counts. */
  readonly units: ReadonlySet<string>;
  /** The tools that the policy names. */
  readonly tools: readonly string[];
  /** The tier of each tool that has one. */
  readonly tiers: ReadonlyMap<string, string>;
  /** Fields of each tool's arguments that are left out. */
  readonly volatile: ReadonlyMap<string, ReadonlySet<string>>;
  /** The dimensions that calls may have, the words that they may say, and what may name a bucket. */
  readonly dimensions: ReadonlySet<string>;
  readonly callWords: ReadonlySet<string>;
  readonly bucketWords: ReadonlySet<string>;
}

/** A fault, and the keys that lead to it. */
export interface PolicyFault extends Fault {
  readonly keys: readonly (string | number)[];
}

/**
 * Checks a policy and makes it ready to judge by. A policy that was made before is returned as it is.
 *
 * @throws MisuseError `invalid-policy` with every fault that was found
 *
 * @example
 * ```ts
 * import { createLimiter, definePolicy } from "tollgate";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const policy = definePolicy({
 *   version: 1,
 *   limits: [{ name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 2, quotas: { send_email: 1 }, ttl: "1h" }],
 * });
 * const limiter = createLimiter({ policy, store: memoryStore() });
 * const call = { tool: "send_email", session: "s1", turn: "t1" };
 * console.log((await limiter.consume(call)).allowed, (await limiter.consume(call)).allowed); // true false
 * ```
 */
export function definePolicy(input: PolicyInput | Policy): Policy {
  if (isPolicy(input)) return input;
  const result = readPolicy(input);
  if ("faults" in result) throw new MisuseError("invalid-policy", result.faults);
  return result.policy;
}

/** Checks a policy; unlike `definePolicy` it returns what is wrong, so that a file's lines can be told. */
export function readPolicy(input: unknown): { readonly policy: Policy } | { readonly faults: readonly PolicyFault[] } {
  const reserved = reservedKeys(input, []);
  if (reserved.length > 0) return { faults: reserved };
  const parsed = policySchema.safeParse(input);
  if (!parsed.success) {
    return { faults: parsed.error.issues.flatMap((issue) => issueFaults(issue, input)) };
  }
  // The annotation fails to compile when the schema and the type that users see part.
  const accepted: PolicyInput = parsed.data;
  const faults = contradictions(accepted);
  return faults.length > 0 ? { faults } : { policy: compile(accepted) };
}

/** The schema library passes `__proto__` over in silence: a limit would be lost. */
function reservedKeys(value: unknown, keys: readonly (string | number)[]): PolicyFault[] {
  if (typeof value !== "object" || value === null || keys.length > MAX_DEPTH) return [];
  if (Object.hasOwn(value, "__proto__")) return [fault([...keys, "__proto__"], "another name", "a reserved one")];
  return Object.entries(value).flatMap(([key, inner]) =>
    reservedKeys(inner, [...keys, Array.isArray(value) ? Number(key) : key]),
  );
}

function isPolicy(value: PolicyInput | Policy): value is Policy {
  return typeof value === "object" && value !== null && POLICY in value;
}

type Issue = NonNullable<ReturnType<typeof policySchema.safeParse>["error"]>["issues"][number];

function issueFaults(issue: Issue, input: unknown): PolicyFault[] {
  const keys = issue.path.map((key) => (typeof key === "number" ? key : String(key)));
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => fault([...keys, key], issue.message, "an unknown key"));
  }
  if (issue.code === "invalid_key") {
    return [fault(keys, issue.issues[0]?.message ?? issue.message, formatGot(keys.at(-1)))];
  }
  return [fault(keys, issue.message, formatGot(valueAt(input, keys)))];
}

function valueAt(input: unknown, keys: readonly (string | number)[]): unknown {
  let value = input;
  for (const key of keys) value = (value as Record<string, unknown> | undefined)?.[key];
  return value;
}

function fault(keys: readonly (string | number)[], expected: string, got: string): PolicyFault {
  return { keys, path: formatPath(keys), expected, got };
}

function formatPath(keys: readonly (string | number)[]): string {
  if (keys.length === 0) return "policy";
  return keys
    .map((key) =>
      typeof key === "number" ? `[${key}]` : /^[\w$]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`,
    )
    .join("")
    .replace(/^\./, "");
}

/** What the schema cannot say: demands of one part of a policy on another. */
function contradictions({ partition, limits }: PolicyInput): PolicyFault[] {
  const known: readonly string[] = [...DIMENSIONS, ...limits.flatMap(({ per }) => per)];
  const unknown = partition === undefined || known.includes(partition) ? [] : [partition];
  const expected = "a dimension that some limit is per";
  const faults = unknown.map((name) => fault(["partition"], expected, formatGot(name)));
  return [...faults, ...limits.flatMap((limit, i) => limitContradictions(limit, i, limits))];
}

function limitContradictions(limit: LimitInput, i: number, limits: readonly LimitInput[]): PolicyFault[] {
  const at = (key: string, expected: string, got: unknown) => fault(["limits", i, key], expected, formatGot(got));
  const faults: PolicyFault[] = [];
  if (limits.findIndex(({ name }) => name === limit.name) < i) {
    faults.push(at("name", "a name that no other limit has", limit.name));
  }
  if (new Set(limit.per).size < limit.per.length) faults.push(at("per", "each dimension once", limit.per));
  if (limit.quotas !== undefined && limit.per.length === 0) {
    faults.push(at("quotas", "a dimension in per whose values these are", limit.quotas));
  }
  if (limit.quota === undefined && limit.quotas === undefined) {
    faults.push(at("quota", "a quota, or quotas", undefined));
  }
  if (limit.quota === undefined && limit.quotas !== undefined && limit.otherwise === undefined) {
    faults.push(at("otherwise", "allow or deny, because there is no quota for other values", undefined));
  }
  if (limit.quota !== undefined && limit.otherwise !== undefined) {
    faults.push(at("otherwise", "no otherwise beside a quota, which is for all other values", limit.otherwise));
  }
  const quotas = Object.entries(limit.quotas ?? {}).map(([value, quota]) => [["quotas", value], quota] as const);
  const overrides = (limit.overrides ?? []).map(({ quota }, n) => [["overrides", n, "quota"], quota] as const);
  for (const [keys, quota] of [[["quota"], limit.quota] as const, ...quotas, ...overrides]) {
    if (quota === undefined || quota === "unlimited") continue;
    if (!isExact(limit, quota)) faults.push(fault(["limits", i, ...keys], EXACT_RATE, formatGot(quota)));
    if (limit.algorithm === "concurrency" && quota > MAX_HOLDS) {
      faults.push(fault(["limits", i, ...keys], `at most ${MAX_HOLDS} units in use at once`, formatGot(quota)));
    }
  }
  return faults;
}

// Beyond this a level (gcra.ts) could pass 2^53, and arithmetic would no longer be exact.
const EXACT_RATE = "a quota with 2 * burst * window / gcd(quota, window in ms) below 2^52";

function isExact(limit: LimitInput, quota: number): boolean {
  const spec = specOf(limit, quota);
  return spec.algorithm !== "gcra" || 2 * spec.burst * spec.levelPerUnit < 2 ** 52;
}

function compile(input: PolicyInput): Policy {
  const limits = input.limits.map(compileLimit);
  const named = input.limits
    .filter(({ per }) => per.at(-1) === "tool")
    .flatMap(({ quotas }) => Object.keys(quotas ?? {}));
  const tools = Object.entries(input.tools ?? {});
  const said = input.limits.flatMap(({ per, overrides = [] }) => [
    ...per,
    ...overrides.flatMap(({ when }) => Object.keys(when)),
  ]);
  const derived: readonly string[] = DERIVED_DIMENSIONS;
  const dimensions = [...DIMENSIONS, ...said.filter((dimension) => !derived.includes(dimension))];
  const policy = {
    partition: input.partition ?? "session",
    costs: new Map(tools.flatMap(([tool, { cost }]) => (cost === undefined ? [] : [[tool, { ...cost }] as const]))),
    limits,
    onError: input.onError ?? "charge",
    units: new Set(limits.map(({ unit }) => unit)),
    tools: [...new Set([...tools.map(([tool]) => tool), ...named])],
    tiers: new Map(tools.flatMap(([tool, { tier }]) => (tier === undefined ? [] : [[tool, tier] as const]))),
    volatile: new Map(tools.map(([tool, { volatile }]) => [tool, new Set(volatile)] as const)),
    dimensions: new Set(dimensions),
    callWords: new Set([...dimensions, ...CALL_WORDS]),
    bucketWords: new Set([...dimensions, ...DERIVED_DIMENSIONS]),
  };
  Object.defineProperty(policy, POLICY, { value: true });
  return Object.freeze(policy);
}

const DEFAULT_LEASE = "2m";
/** A budget that is used up by four fifths is near its end. */
const NOTICE_AT = 0.8;

/** Whether a limit does not refill while a model waits. */
function isBudget({ algorithm }: LimitInput): boolean {
  return algorithm === undefined || algorithm === "quota";
}

function compileLimit(limit: LimitInput): Limit {
  const hold = limit.algorithm === "concurrency" ? limit : limit.hold;
  const allotment = (quota: QuotaInput) => (quota === "unlimited" ? null : { quota, spec: specOf(limit, quota) });
  return {
    name: limit.name,
    per: [...limit.per],
    unit: limit.unit ?? "calls",
    optional: limit.optional ?? false,
    isShadow: limit.mode === "shadow",
    noticeAt: limit.noticeAt === "never" ? null : (limit.noticeAt ?? (isBudget(limit) ? NOTICE_AT : null)),
    message: limit.message ?? null,
    matches: matcher(limit.match),
    overrides: (limit.overrides ?? []).map(({ when, quota }) => ({
      when: Object.entries(when).map(([dimension, value]) => [dimension, String(value)] as const),
      allotment: allotment(quota),
    })),
    leaseMs: toMs(hold?.lease ?? DEFAULT_LEASE),
    onExpiry: limit.algorithm === "concurrency" ? "refund" : (limit.hold?.onExpiry ?? "charge"),
    allotments: new Map(Object.entries(limit.quotas ?? {}).map(([value, quota]) => [value, allotment(quota)])),
    otherwise: allotment(limit.quota ?? (limit.otherwise === "deny" ? 0 : "unlimited")),
  };
}

function matcher(patterns: readonly string[] | undefined): (tool: string) => boolean {
  if (patterns === undefined) return () => true;
  const names = new Set(patterns.filter((pattern) => !pattern.includes("*")));
  const globs = patterns.filter((pattern) => pattern.includes("*"));
  return (tool) => names.has(tool) || globs.some((glob) => matchesGlob(glob, tool));
}

function specOf(limit: LimitInput, quota: number): LimitSpec {
  switch (limit.algorithm) {
    case "fixed-window":
      return { algorithm: "fixed-window", quota, windowMs: toMs(limit.window), align: limit.align ?? "epoch" };
    case "sliding-window":
      return { algorithm: "sliding-window", quota, windowMs: toMs(limit.window) };
    case "gcra":
      return gcraSpec(quota, toMs(limit.window), limit.burst ?? quota);
    case "concurrency":
      return { algorithm: "concurrency", quota };
    default: {
      const ttl = limit.ttl ?? (limit.per.includes("turn") ? "24h" : "30d");
      return typeof ttl === "string"
        ? { algorithm: "quota", quota, ttlMs: toMs(ttl), ttlFrom: "last" }
        : { algorithm: "quota", quota, ttlMs: toMs(ttl.fromFirst), ttlFrom: "first" };
    }
  }
}

function gcraSpec(quota: number, windowMs: number, burst: number): LimitSpec {
  // No rate at all: nothing may ever pass, whatever the burst.
  if (quota === 0) return { algorithm: "gcra", burst: 0, levelPerUnit: 1, levelPerMs: 1 };
  const divisor = greatestCommonDivisor(quota, windowMs);
  return { algorithm: "gcra", burst, levelPerUnit: windowMs / divisor, levelPerMs: quota / divisor };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** The schema has let only durations through. */
function toMs(duration: string): number {
  return parseDuration(duration) ?? Number.NaN;
}
