// The centre: a call comes in, its charges are resolved, the store decides them in one request, a decision goes out.
// It knows no concrete store.

import { type Call, checkDimensions, type Dimensions } from "./kernel/call.ts";
import { type Bucket, bucketOf, missingDimension, resolveCharges, storeRequest } from "./kernel/charge.ts";
import type { StoreReply, StoreRequest } from "./kernel/decide.ts";
import { type Decision, decisionOf, type Usage, usageOf } from "./kernel/decision.ts";
import { formatGot, MisuseError } from "./kernel/errors.ts";
import { definePolicy, type Policy } from "./kernel/policy.ts";
import type { PolicyInput } from "./kernel/policy-schema.ts";
import { batchLayer } from "./layers/batch.ts";
import { type Store, StoreError } from "./store.ts";

/** How a limiter is made. */
export interface LimiterOptions {
  /** What calls are judged by. */
  readonly policy: Policy | PolicyInput;
  /** Where the state lives. Instances that share a store share its limits. */
  readonly store: Store;
  /** What keys begin with: 1 to 64 of letters, digits, `_ . : -`. Default `rate`. */
  readonly prefix?: string;
  /** Called after each `consume` and `record`, before its promise resolves. What it throws becomes a process warning. */
  readonly onDecision?: (decision: Decision, call: Call) => void;
}

/** How one call is made. */
export interface CallOptions {
  /** Refuses the call when it is aborted before the store was asked; afterwards the decision stands. */
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
  const { store, prefix = "rate", onDecision } = options;
  const policy = definePolicy(options.policy);
  const gathered = store.batchSize === undefined ? store : batchLayer(store, store.batchSize);
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
    const whole = { ...this.#bound, ...dimensions };
    checkDimensions(whole);
    const tools = whole.tool === undefined ? policy.tools : [whole.tool];
    const buckets = policy.limits.flatMap((limit) =>
      (limit.per.includes("tool") ? tools : [whole.tool])
        .map((tool) => ({ ...whole, tool }))
        .filter((each) => limit.per.every((dimension) => each[dimension] !== undefined))
        .flatMap((each) => bucketOf(policy, prefix, limit, each) ?? []),
    );
    const read = (bucket: Bucket) => storeRequest("peek", [bucket], () => ({ type: "read" }));
    return Promise.all(buckets.map(async (bucket) => usageOf(bucket, await this.#ask(read(bucket), options))));
  }

  async reset(
    { limit: name, ...dimensions }: Dimensions & { readonly limit: string },
    options?: CallOptions,
  ): Promise<Usage | null> {
    const { policy, prefix } = this.#shared;
    const whole = { ...this.#bound, ...dimensions };
    checkDimensions(whole);
    const limit = policy.limits.find((each) => each.name === name);
    if (limit === undefined) {
      const expected = `one of the policy's limits: ${policy.limits.map((each) => each.name).join(", ")}`;
      throw new MisuseError("unknown-limit", { path: "limit", expected, got: formatGot(name) });
    }
    const missing = limit.per.find((dimension) => whole[dimension] === undefined);
    if (missing !== undefined) throw missingDimension(limit, missing);
    const bucket = bucketOf(policy, prefix, limit, whole);
    if (bucket === null) return null;
    const request = storeRequest("judge", [bucket], () => ({ type: "reset" }));
    return usageOf(bucket, await this.#ask(request, options));
  }

  for(dimensions: Dimensions): Limiter {
    checkDimensions(dimensions);
    return new StoreLimiter(this.#shared, { ...this.#bound, ...dimensions });
  }

  close(): Promise<void> {
    this.#shared.closing ??= this.#shared.store.close();
    return this.#shared.closing;
  }

  async #decide(mode: StoreRequest["mode"], call: Call, options: CallOptions | undefined): Promise<Decision> {
    const { policy, prefix } = this.#shared;
    const whole = { ...this.#bound, ...call };
    const charges = resolveCharges(policy, prefix, whole);
    const request = storeRequest(mode, charges, ({ cost }) => ({ type: "charge", cost }));
    const decision = decisionOf(charges, await this.#ask(request, options));
    if (mode !== "peek") this.#tell(decision, whole);
    return decision;
  }

  #tell(decision: Decision, call: Call): void {
    try {
      this.#shared.onDecision?.(decision, call);
    } catch (error) {
      // The units are booked: a fault of the listener must not look like a fault of the decision.
      process.emitWarning(`onDecision threw: ${error}`, "TollgateWarning");
    }
  }

  async #ask(request: StoreRequest, options: CallOptions | undefined): Promise<StoreReply> {
    options?.signal?.throwIfAborted();
    if (this.#shared.closing !== null) {
      throw new MisuseError("limiter-closed", { path: "limiter", expected: "an open limiter", got: "a closed one" });
    }
    const [reply] = await this.#shared.store.apply([request]);
    if (reply === undefined) throw new RangeError("the store gave fewer replies than it was asked for");
    if (StoreError.isInstance(reply)) throw reply;
    return reply;
  }
}

const OPTIONS: ReadonlySet<string> = new Set(["policy", "store", "prefix", "onDecision"]);

function checkOptions(options: LimiterOptions): void {
  const refuse = (path: string, expected: string, got: unknown) => {
    throw new MisuseError("invalid-option", { path, expected, got: formatGot(got) });
  };
  if (typeof options !== "object" || options === null) refuse("options", "an object", options);
  for (const key of Object.keys(options))
    if (!OPTIONS.has(key)) refuse("options", `only ${[...OPTIONS].join(", ")}`, key);
  const { store, prefix = "rate", onDecision } = options;
  if (typeof store?.apply !== "function") refuse("store", "a store, such as memoryStore()", store);
  const { batchSize = 1 } = store;
  if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > 1_024) {
    refuse("store.batchSize", "a whole number from 1 to 1024", batchSize);
  }
  if (typeof prefix !== "string" || !/^[A-Za-z0-9_.:-]{1,64}$/.test(prefix)) {
    refuse("prefix", "1 to 64 letters, digits, _ . : or -", prefix);
  }
  if (onDecision !== undefined && typeof onDecision !== "function") refuse("onDecision", "a function", onDecision);
}
