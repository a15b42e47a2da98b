// The options of a limiter, and their checks.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { checkOptionKeys, checkWhole, invalidOption, MisuseError } from "../kernel/errors.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { ClaimedOf, ClaimsBy, Refused } from "../kernel/policy/typed.ts";
import type { WrittenPolicy } from "../kernel/policy/typed-keys.ts";
import { checkFailover, type FailoverOptions } from "../layers/failover/options.ts";
import type { SharedStore } from "../store/shared-store.ts";
import type { Batching, Store } from "../store/store.ts";
import { checkFunctions } from "./call-options.ts";
import { checkLog, type DecisionLog } from "./decision-log.ts";
import type { LimiterEvent } from "./events.ts";
import type { QuotaResolver } from "./quotas.ts";
import { checkTelemetry, type Telemetry } from "./telemetry.ts";

/** The options of `createLimiter`. */
export interface LimiterOptions<Source extends Policy | WrittenPolicy = Policy | PolicyInput, Given = Source> {
  /** The policy that calls are judged by. */
  readonly policy: Given;
  /** Where the state is kept. Instances that share a store share its limits. */
  readonly store: Store | SharedStore;
  /** The first part of all keys: 1 to 64 of letters, digits, `_ . : -`. Default `rate`. */
  readonly prefix?: string;
  /**
   * Called after each `consume`, `record`, `reserve` and `run`, before its promise resolves (`run`: before the function starts). An
   * error that it throws becomes a process warning.
   */
  readonly onDecision?: (decision: Decision, call: Call) => unknown;
  /**
   * What this instance does while the store is unreachable. By default it decides by its share of the limits, for stores that
   * other processes reach through a network: Redis and Postgres. `false`: calls fail with `StoreError`. With other stores
   * calls always fail with `StoreError`.
   */
  readonly failover?: FailoverOptions | false;
  /**
   * How long a denial is repeated without asking the store, 0 to 1,000 ms. Default 1,000. Only a denial that time alone can
   * lift is repeated, and only for the same call. A grant or reset by another process, and units that are given back, take effect within that time.
   */
  readonly denyCacheMs?: number;
  /** Called with events of the store, of holds, of the policy and of buckets. */
  readonly onEvent?: (event: LimiterEvent) => unknown;
  /**
   * Looks up the quota of a bucket of a limit with `quota: { from: call }`, such as a customer's quota in a database. It is
   * asked once per bucket: an answer is kept for 60 s, at most 10,000 answers. When it takes longer than a second or returns no
   * valid quota, the last answer stays in force, else the policy's `default`, and `onEvent` gets `quota.unresolved`. Refused
   * when no limit of the policy takes its quota from here.
   */
  readonly quotas?: Resolver<Source>;
  /** Keeps what the limiter decides, such as `sqliteLog("decisions.db")` of `tollgate/log/sqlite`. Default: no log. */
  readonly log?: DecisionLog;
  /** Measures the limiter, such as `otel()` of `tollgate/otel`. Default: no telemetry. */
  readonly telemetry?: Telemetry;
}

/** A function that looks up quotas, under a policy with limits that ask for them. */
type Resolver<Source> = [ClaimedOf<Source>] extends [never]
  ? Refused<"quotas", "no limit of the policy says quota: { from: call }">
  : QuotaResolver<ClaimsBy<Source>>;

/** The longest, and the default, `denyCacheMs`. */
export const MAX_DENIED_MS = 1_000;

const LAYERS = 'networkLayers of "tollgate/store"';

const OPTIONS = [
  "policy",
  "store",
  "prefix",
  "failover",
  "denyCacheMs",
  "onDecision",
  "onEvent",
  "quotas",
  "telemetry",
  "log",
] as const satisfies readonly (keyof LimiterOptions)[];

/** Validates the options, but for `policy`. Throws `invalid-option`. */
export function checkLimiterOptions(options: Omit<LimiterOptions, "policy">): void {
  checkOptionKeys(options, OPTIONS);
  checkTelemetry(options.telemetry);
  checkLog(options.log);
  const { store, prefix, onDecision, onEvent, quotas } = options;
  if (typeof store?.apply !== "function" || typeof store.close !== "function") {
    throw invalidOption("store", "a store, such as memoryStore()", store);
  }
  const { book, beat } = store as Partial<SharedStore>;
  if ((book === undefined) !== (beat === undefined)) {
    const expected = "a store with book and beat, or with neither";
    const got = book === undefined ? "only beat" : "only book";
    throw new MisuseError("invalid-option", { path: "store", expected, got });
  }
  checkFailover(options.failover ?? {});
  checkWhole("denyCacheMs", options.denyCacheMs ?? 0, 0, MAX_DENIED_MS);
  const { size, underWay, least = 1, spread = false }: Batching = store.batching ?? { size: 1, underWay: 1 };
  checkWhole("store.batching.size", size, 1, 1_024);
  checkWhole("store.batching.underWay", underWay, 1, 16);
  checkWhole("store.batching.least", least, 1, size);
  if (typeof spread !== "boolean") throw invalidOption("store.batching.spread", "true or false", spread);
  const needing = (["batching", "setup", "book"] as const).find((name) => (store as Partial<SharedStore>)[name]);
  if (needing !== undefined && store.layers === undefined) {
    throw invalidOption("store.layers", `${LAYERS}, because the store has ${needing}`, undefined);
  }
  if (store.layers !== undefined && typeof store.layers !== "function") {
    throw invalidOption("store.layers", `${LAYERS}, or nothing`, store.layers);
  }
  if (prefix !== undefined && (typeof prefix !== "string" || !/^[A-Za-z0-9_.:-]{1,64}$/.test(prefix))) {
    throw invalidOption("prefix", "1 to 64 letters, digits, _ . : or -", prefix);
  }
  checkFunctions({ onDecision, onEvent, quotas });
}
