// The centre: a call comes in, its charges are resolved, the store decides them in one request, a decision goes out.
// It knows no concrete store.

import { type Call, checkDimensions, type Dimensions, mergeDimensions } from "./kernel/call.ts";
import { type Bucket, bucketOf, missingDimension, resolveCharges, storeRequest } from "./kernel/charge.ts";
import type { StoreReply, StoreRequest } from "./kernel/decide.ts";
import { type Decision, decisionOf, type Usage, usageOf } from "./kernel/decision.ts";
import { checkOptionKeys, formatGot, invalidOption, MisuseError } from "./kernel/errors.ts";
import { definePolicy, type Policy } from "./kernel/policy.ts";
import type { PolicyInput } from "./kernel/policy-schema.ts";
import { batchLayer } from "./layers/batch.ts";
import { type SetupCheck, type Store, StoreError } from "./store.ts";

/** How a limiter is made. */
export interface LimiterOptions {
  /** What calls are judged by. */
  readonly policy: Policy | PolicyInput;
  /** Where the state lives. Instances that share a store share its limits. */
  readonly store: Store;
  /** What keys begin with: 1 to 64 of letters, digits, `_ . : -`. Default `rate`. */
  readonly prefix?: string;
  /** Called after each `consume` and `record`, before its promise resolves. What it throws becomes a process warning. */
  readonly onDecision?: (decision: Decision, call: Call) => unknown;
  /** Called with what is found about the store when the limiter is made. What it throws becomes a process warning. */
  readonly onEvent?: (event: LimiterEvent) => unknown;
}

/** What a limiter says beside its decisions. */
export type LimiterEvent =
  /** The store is set up so that it may break a promise. */
  | { readonly type: "store-setup"; readonly check: SetupCheck }
  /** How the store is set up could not be read. */
  | { readonly type: "store-error"; readonly error: unknown };

/** How one call is made. */
export interface CallOptions {
  /** Refuses the call when it was aborted before; once it waits for the store, its decision stands. */
  readonly signal?: AbortSignal;
}

/** Decides calls. Denials are values; what is thrown is a `MisuseError`, a `StoreError`, or the signal's reason. */
export interface Limiter {
  /**
   * Judges a call by every limit that matches and charges all of them, or none when one denies.
   *
   * @throws MisuseError `invalid-call`, `missing-dimension`, `invalid-dimension`, `invalid-cost`, `unknown-unit`,
   *   `limiter-closed`
   * @throws StoreError when the store failed
   */
  consume(call: Call, options?: CallOptions): Promise<Decision>;

  /**
   * Books a call that has happened already, also past the quota, and answers what `consume` would have.
   *
   * @throws as `consume`
   */
  record(call: Call, options?: CallOptions): Promise<Decision>;

  /** Answers as `consume` would, and charges nothing. */
  peek(call: Call, options?: CallOptions): Promise<Decision>;

  /**
   * How buckets stand: of each limit whose dimensions are all given, for the tool given, else for every tool that the
   * policy names.
   */
  usage(dimensions?: Dimensions, options?: CallOptions): Promise<readonly Usage[]>;

  /**
   * Empties one bucket, named by its limit and all of that limit's dimensions, and returns how it stood before.
   * `null` when the limit does not apply to them (an `unlimited` quota).
   *
   * @throws MisuseError `unknown-limit`, `missing-dimension`, `invalid-dimension`, `limiter-closed`
   */
  reset(bucket: Dimensions & { readonly limit: string }, options?: CallOptions): Promise<Usage | null>;

  /** The same limiter with dimensions bound; a call's own come before them. */
  for(dimensions: Dimensions): Limiter;

  /** Waits for what is under way, then closes the store. Later calls are misuse. Closing twice is fine. */
  close(): Promise<void>;
}

/**
 * Makes a limiter.
 *
 * @throws MisuseError `invalid-option`, `invalid-policy`
 *
 * @example
 * ```ts
 * import { createLimiter } from "tollgate";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 3 }] },
 *   store: memoryStore(),
 * });
 * const turn = limiter.for({ session: "s1", turn: "t1" });
 * const decision = await turn.consume({ tool: "search" });
 * console.log(decision.allowed, decision.verdicts[0]?.remaining); // true 2
 * await limiter.close();
 * ```
 */
export function createLimiter(options: LimiterOptions): Limiter {
  checkOptions(options);
  const { store, prefix = "rate", onDecision, onEvent } = options;
  const policy = definePolicy(options.policy);
  const gathered = store.batching === undefined ? store : batchLayer(store, store.batching);
  if (onEvent !== undefined) tellSetup(store, onEvent);
  return new StoreLimiter({ policy, prefix, onDecision, store: gathered, closing: null }, {});
}

/** What a limiter and those bound from it share. */
interface Shared {
  readonly policy: Policy;
  readonly prefix: string;
  readonly store: Store;
  readonly onDecision: LimiterOptions["onDecision"];
  closing: Promise<void> | null;
}

class StoreLimiter implements Limiter {
  readonly #shared: Shared;
  readonly #bound: Dimensions;

  constructor(shared: Shared, bound: Dimensions) {
    this.#shared = shared;
    this.#bound = bound;
  }

  consume(call: Call, options?: CallOptions): Promise<Decision> {
    return this.#decide("judge", call, options);
  }

  record(call: Call, options?: CallOptions): Promise<Decision> {
    return this.#decide("force", call, options);
  }

  peek(call: Call, options?: CallOptions): Promise<Decision> {
    return this.#decide("peek", call, options);
  }

  async usage(dimensions: Dimensions = {}, options?: CallOptions): Promise<readonly Usage[]> {
    const { policy, prefix } = this.#shared;
    const whole = mergeDimensions(this.#bound, dimensions, "dimensions");
    checkDimensions(whole);
    const tools = whole.tool === undefined ? policy.tools : [whole.tool];
    const buckets = policy.limits.flatMap((limit) =>
      (limit.per.includes("tool") ? tools : [whole.tool])
        .map((tool) => ({ ...whole, tool }))
        .filter((each) => limit.per.every((dimension) => each[dimension] !== undefined))
        .flatMap((each) => bucketOf(policy, prefix, limit, each) ?? []),
    );
    const usages: Usage[] = [];
    for (let read = 0; read < buckets.length; read += READ_AT_ONCE) {
      usages.push(...(await this.#touch(buckets.slice(read, read + READ_AT_ONCE), "read", options)));
    }
    return usages;
  }

  async reset(bucket: Dimensions & { readonly limit: string }, options?: CallOptions): Promise<Usage | null> {
    const { policy, prefix } = this.#shared;
    const { limit: name, ...whole } = mergeDimensions(this.#bound, bucket, "bucket");
    checkDimensions(whole);
    const limit = policy.limits.find((each) => each.name === name);
    if (limit === undefined) {
      const expected = `one of the policy's limits: ${policy.limits.map((each) => each.name).join(", ")}`;
      throw new MisuseError("unknown-limit", { path: "limit", expected, got: formatGot(name) });
    }
    const missing = limit.per.find((dimension) => whole[dimension] === undefined);
    if (missing !== undefined) throw missingDimension(limit, missing);
    const found = bucketOf(policy, prefix, limit, whole);
    if (found === null) return null;
    const [usage] = await this.#touch([found], "reset", options);
    return usage ?? null;
  }

  for(dimensions: Dimensions): Limiter {
    const bound = mergeDimensions(this.#bound, dimensions, "dimensions");
    checkDimensions(bound);
    return new StoreLimiter(this.#shared, bound);
  }

  close(): Promise<void> {
    this.#shared.closing ??= this.#shared.store.close();
    return this.#shared.closing;
  }

  async #decide(mode: StoreRequest["mode"], call: Call, options: CallOptions | undefined): Promise<Decision> {
    const { policy, prefix, onDecision } = this.#shared;
    const whole = mergeDimensions(this.#bound, call, "call");
    const charges = resolveCharges(policy, prefix, whole);
    const request = storeRequest(mode, charges, ({ cost }) => ({ type: "charge", cost }));
    const [reply] = await this.#ask([request], options);
    const decision = decisionOf(charges, reply as StoreReply);
    if (mode !== "peek" && onDecision !== undefined) tell("onDecision", () => onDecision(decision, whole));
    return decision;
  }

  /** Reads or resets buckets, one request each. */
  async #touch(buckets: readonly Bucket[], type: "read" | "reset", options: CallOptions | undefined): Promise<Usage[]> {
    const mode = type === "read" ? "peek" : "judge";
    const requests = buckets.map((bucket) => storeRequest(mode, [bucket], () => ({ type })));
    const replies = await this.#ask(requests, options);
    return buckets.map((bucket, i) => usageOf(bucket, replies[i] as StoreReply));
  }

  /** Asks the store. There is a reply for each request, and a step reply for each step, or this throws. */
  async #ask(requests: readonly StoreRequest[], options: CallOptions | undefined): Promise<readonly StoreReply[]> {
    checkCallOptions(options);
    options?.signal?.throwIfAborted();
    if (this.#shared.closing !== null) {
      throw new MisuseError("limiter-closed", { path: "limiter", expected: "an open limiter", got: "a closed one" });
    }
    const replies = await this.#shared.store.apply(requests);
    return requests.map(({ steps }, i) => {
      const reply = replies[i];
      if (StoreError.isInstance(reply)) throw reply;
      if (reply?.steps.length === steps.length) return reply;
      throw new StoreError("invalid-reply", "the store gave fewer replies than it was asked for", { transient: false });
    });
  }
}

/** Most buckets that one reading asks for: a policy may name thousands of tools. */
const READ_AT_ONCE = 1_000;

/** Calls a listener. The units are booked: a fault of the listener must not look like a fault of the decision. */
function tell(name: string, listener: () => unknown): void {
  const warn = (error: unknown) => process.emitWarning(`${name} threw: ${formatGot(error)}`, "TollgateWarning");
  try {
    const told = listener();
    if (told instanceof Promise) told.catch(warn);
  } catch (error) {
    warn(error);
  }
}

function tellSetup(store: Store, onEvent: (event: LimiterEvent) => unknown): void {
  const say = (event: LimiterEvent) => tell("onEvent", () => onEvent(event));
  store.setup?.().then(
    (checks) => {
      for (const check of checks) if (check.problem !== null) say({ type: "store-setup", check });
    },
    (error) => say({ type: "store-error", error }),
  );
}

function checkOptions(options: LimiterOptions): void {
  checkOptionKeys(options, ["policy", "store", "prefix", "onDecision", "onEvent"]);
  const { store, prefix = "rate", onDecision, onEvent } = options;
  if (typeof store?.apply !== "function" || typeof store.close !== "function") {
    throw invalidOption("store", "a store, such as memoryStore()", store);
  }
  const { size, underWay } = store.batching ?? { size: 1, underWay: 1 };
  if (!Number.isInteger(size) || size < 1 || size > 1_024) {
    throw invalidOption("store.batching.size", "a whole number from 1 to 1024", size);
  }
  if (!Number.isInteger(underWay) || underWay < 1 || underWay > 16) {
    throw invalidOption("store.batching.underWay", "a whole number from 1 to 16", underWay);
  }
  if (typeof prefix !== "string" || !/^[A-Za-z0-9_.:-]{1,64}$/.test(prefix)) {
    throw invalidOption("prefix", "1 to 64 letters, digits, _ . : or -", prefix);
  }
  for (const [name, listener] of Object.entries({ onDecision, onEvent })) {
    if (listener !== undefined && typeof listener !== "function") throw invalidOption(name, "a function", listener);
  }
}

function checkCallOptions(options: CallOptions | undefined): void {
  if (options === undefined) return;
  if (options instanceof AbortSignal) throw invalidOption("options", "{ signal }", "an AbortSignal");
  checkOptionKeys(options, ["signal"]);
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidOption("signal", "an AbortSignal", signal);
}
