// The same limiter over HTTP: what `tollgate serve` decides, as an object in this process. It needs `fetch` alone, so it is
// there for Node, Workers and whatever else runs servers.

import { Away } from "./client/away.ts";
import { type About, asFirst, decideAway, type Held, type HeldAnswer, type Named, undoing } from "./client/decide.ts";
import { OwnHold, serviceHold } from "./client/holds.ts";
import { type ClientOptions, checkOptions } from "./client/options.ts";
import { askOr, type ClientShared, checkDecision, checkOpen } from "./client/shared.ts";
import { type Item, Wire } from "./client/wire.ts";
import { type BucketDimensions, type Call, type Cost, type Dimensions, mergeDimensions } from "./kernel/call.ts";
import type { BucketUsage, Decision } from "./kernel/decision.ts";
import { invalidOption, MisuseError } from "./kernel/errors.ts";
import type { Policy } from "./kernel/policy.ts";
import type { PolicyInput } from "./kernel/policy-schema.ts";
import type { AnyTypes, PolicyTypes } from "./kernel/typed.ts";
import { type CloseOptions, closeWithinMs } from "./limiter/close.ts";
import {
  type ChangeOptions,
  checkChangeOptions,
  checkGrant,
  checkGrantId,
  type Grant,
  type Reset,
  type Revoked,
} from "./limiter/grant.ts";
import { checkHoldOptions, type Hold, type HoldOptions } from "./limiter/hold.ts";
import type { Outcome } from "./limiter/report.ts";
import { type Begun, type Ran, type RunFunction, runBegun } from "./limiter/run.ts";
import { type CallOptions, checkCallOptions, limiterClosed, tell, tellEvent } from "./limiter/shared.ts";
import { checkWaitOptions, type WaitOptions } from "./limiter/wait.ts";
import { beginCall, type Denied, type Limiter, type LimiterEvent, type Reserved } from "./limiter.ts";

export type { ClientFailover } from "./client/away.ts";
export type { ClientOptions } from "./client/options.ts";

/**
 * Makes a limiter that asks a service. Calls are gathered: what one tick asks goes in one request. `reload` changes the
 * policy of the time without the service alone; a call's `maxWaitMs` is bound by the service's own (30 s).
 *
 * @throws MisuseError `invalid-option`, `invalid-policy`
 *
 * @example
 * ```ts
 * import { createClient } from "tollgate/client";
 * import { createService } from "tollgate/service";
 * import { listen } from "tollgate/service/node";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const policy = "version: 1\nlimits: [{ name: per-session, per: [session], quota: 2 }]";
 * const server = await listen(createService({ policy, store: memoryStore(), keys: false }), { port: 0 });
 *
 * const limiter = createClient({ url: server.url });
 * const decision = await limiter.consume({ tool: "search", session: "s1" });
 * console.log(decision.verdicts[0]?.remaining); // 1
 * await limiter.close();
 * await server.close();
 * ```
 */
export function createClient<Types extends PolicyTypes = AnyTypes>(options: ClientOptions): Limiter<Types> {
  const { key, deadlineMs = 1_000, keyed = true, failover, onDecision, onEvent } = options;
  const url = checkOptions(options);
  // As a method of something else it would not work in every runtime.
  const send = options.fetch ?? ((...asked: Parameters<typeof fetch>) => fetch(...asked));
  const wire = new Wire({ url, key, deadlineMs, fetch: send });
  const told = (event: LimiterEvent) => tellEvent({ onEvent }, event);
  const away = failover === undefined ? null : new Away(wire, failover, told);
  const shared: ClientShared = {
    wire,
    away,
    isKeyed: keyed,
    onDecision,
    onEvent,
    ending: new AbortController(),
    closing: null,
  };
  return new ClientLimiter(shared, {}) as Limiter as Limiter<Types>;
}

class ClientLimiter implements Limiter {
  readonly #shared: ClientShared;
  readonly #bound: Dimensions;

  constructor(shared: ClientShared, bound: Dimensions) {
    this.#shared = shared;
    this.#bound = bound;
  }

  async consume(call: Call, options: WaitOptions = {}): Promise<Decision> {
    checkWaitOptions(options);
    const { maxWaitMs = 0 } = options;
    const named = this.#named(call, options);
    const decision = maxWaitMs === 0 ? await this.#decide("consume", named) : await this.#wait(named, options);
    this.#tell(decision, named.call);
    return decision;
  }

  async record(call: Call, options: CallOptions = {}): Promise<Decision> {
    const named = this.#named(call, options);
    const decision = await this.#decide("record", named);
    this.#tell(decision, named.call);
    return decision;
  }

  async peek(call: Call, options: CallOptions = {}): Promise<Decision> {
    checkCallOptions(options);
    const named = this.#named(call, options);
    return this.#decide("peek", { ...named, body: named.call, isRepeatable: true });
  }

  async reserve(call: Call, options: HoldOptions = {}): Promise<Reserved | Denied> {
    checkHoldOptions(options);
    const named = this.#named(call, options);
    const { decision, hold } = await this.#hold("reserve", named, options, async (away) => {
      const held = await away.limiter.reserve(named.call, options);
      if (!held.allowed) return { decision: held, made: null };
      const { hold: id, settle, release, extend, ...rest } = held;
      return { decision: rest, made: { hold: id, settle, release, extend } };
    });
    if (hold === null) return { ...decision, allowed: false };
    return {
      ...decision,
      allowed: true,
      hold: hold.hold,
      settle: (...asked) => hold.settle(...asked),
      release: (...asked) => hold.release(...asked),
      extend: (...asked) => hold.extend(...asked),
    };
  }

  hold(id: string, call: Call): Hold {
    return serviceHold(this.#shared, id, mergeDimensions(this.#bound, call, "call"));
  }

  async run<Value>(call: Call, run: RunFunction<Value>, options: HoldOptions = {}): Promise<Ran<Value>> {
    checkHoldOptions(options);
    if (typeof run !== "function") throw invalidOption("run", "a function", run);
    const named = this.#named(call, options);
    let began: About | null = null;
    const { decision, hold, answer } = await this.#hold("begin", named, options, async (away) => {
      const { decision, begun } = await beginCall(away.limiter, named.call, options);
      began = begun;
      return { decision, made: begun?.hold ?? null };
    });
    if (hold === null) return { allowed: false, decision };
    const { held, leaseMs, onError, reports } = (began ?? answer) as About;
    // The service takes what is not named for used as it was held.
    const nothing = Object.fromEntries(held.map((unit) => [unit, 0]));
    const begun: Begun = {
      call: named.call,
      hold,
      held,
      leaseMs,
      onError,
      reports,
      checkUsage,
      settle: (actual, rest) => hold.settle(rest === "nothing" ? { ...nothing, ...actual } : actual),
      report: (outcome) => this.#report(named.call, outcome),
      tell: (event) => tellEvent(this.#shared, event),
    };
    return { allowed: true, value: await runBegun(begun, run, options), decision };
  }

  async usage(dimensions: BucketDimensions = {}, options: CallOptions = {}): Promise<readonly BucketUsage[]> {
    const whole = mergeDimensions(this.#bound, dimensions, "dimensions");
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(whole)) {
      query.set(name, name === "args" ? JSON.stringify(value) : String(value));
    }
    const path = `/v1/usage?${query}`;
    const answer = await this.#alone({ method: "GET", path, isRepeatable: true }, options);
    return (answer as { readonly usages: readonly BucketUsage[] }).usages;
  }

  async reset(
    bucket: BucketDimensions & { readonly limit: string },
    options: ChangeOptions = {},
  ): Promise<Reset | null> {
    const reason = checkChangeOptions(options);
    const more = { ...(reason === null ? {} : { reason }) };
    const { before, after } = await this.#touch<Nullable<Reset>>("/v1/reset", bucket, more, options);
    if (before === null || after === null) return null;
    tellEvent(this.#shared, { type: "reset", before, after, reason });
    return { before, after };
  }

  async grant(
    bucket: BucketDimensions & { readonly limit: string },
    grant: Grant,
    options: CallOptions = {},
  ): Promise<BucketUsage | null> {
    checkGrant(grant);
    const { usage: after } = await this.#touch<{ usage: BucketUsage | null }>("/v1/grant", bucket, { grant }, options);
    if (after !== null) tellEvent(this.#shared, { type: "grant", grant, after });
    return after;
  }

  async revoke(
    bucket: BucketDimensions & { readonly limit: string },
    id: string,
    options: ChangeOptions = {},
  ): Promise<Revoked | null> {
    checkGrantId("id", id);
    const reason = checkChangeOptions(options);
    const more = { id, ...(reason === null ? {} : { reason }) };
    const { revoked, after } = await this.#touch<Nullable<Revoked>>("/v1/revoke", bucket, more, options);
    if (revoked === null || after === null) return null;
    tellEvent(this.#shared, { type: "revoke", id, revoked, after, reason });
    return { revoked, after };
  }

  async report(call: Call, outcome: Outcome, options: CallOptions = {}): Promise<void> {
    await this.#report(this.#named(call, options).call, outcome);
  }

  reload(policy: Policy | PolicyInput): void {
    const { away } = this.#shared;
    if (away === null) {
      throw invalidOption("policy", "a client with failover: the service's policy is its own", policy);
    }
    away.reload(policy);
  }

  for(dimensions: Dimensions): Limiter {
    return new ClientLimiter(this.#shared, mergeDimensions(this.#bound, dimensions, "dimensions"));
  }

  close(options: CloseOptions = {}): Promise<void> {
    const shared = this.#shared;
    try {
      const withinMs = closeWithinMs(options);
      shared.closing ??= Promise.resolve().then(() => close(shared, withinMs));
      return shared.closing;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #named(call: Call, options: CallOptions): Named {
    if (options.signal !== undefined) checkCallOptions({ signal: options.signal });
    options.signal?.throwIfAborted();
    checkOpen(this.#shared);
    const whole = mergeDimensions(this.#bound, call, "call");
    if (whole.idempotencyKey !== undefined) return { call: whole, body: whole, isRepeatable: true };
    if (!this.#shared.isKeyed) return { call: whole, body: whole, isRepeatable: false };
    return { call: whole, body: { ...whole, idempotencyKey: crypto.randomUUID() }, isRepeatable: true };
  }

  async #decide(op: "consume" | "record" | "peek", { call, body, isRepeatable }: Named): Promise<Decision> {
    const { away } = this.#shared;
    const sentMs = performance.now();
    let isHere = true;
    const decision = await askOr<Decision>(this.#shared, { op, body, isRepeatable }, async (away, isDoubted) => {
      isHere = false;
      return decideAway(away, op, { call, body, isRepeatable }, isDoubted);
    });
    checkDecision(decision);
    if (isHere && op === "consume") away?.learn(call, decision, sentMs);
    return decision;
  }

  async #wait(named: Named, { maxWaitMs = 0, signal }: WaitOptions): Promise<Decision> {
    const { wire, away, ending } = this.#shared;
    const endsAtMs = performance.now() + wire.deadlineMs;
    if (away !== null && (await away.isAway(endsAtMs))) return decideAway(away, "consume", named, false);
    const ends = signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal]);
    try {
      const answer = await wire.send(
        {
          method: "POST",
          path: "/v1/consume",
          body: (leftMs) => ({ ...named.body, maxWaitMs: leftMs }),
          isRepeatable: named.isRepeatable,
          waitMs: maxWaitMs,
          signal: ends,
        },
        Math.max(0, endsAtMs - performance.now()),
      );
      // What was closed while it waited is not allowed any more.
      ends.throwIfAborted();
      away?.reached();
      return checkDecision(answer as Decision);
    } catch (error) {
      if (ends.aborted || away === null || !away.leave(error)) throw error;
      return decideAway(away, "consume", named, true);
    }
  }

  /** Asks for a decision and a hold. */
  async #hold(
    op: "reserve" | "begin",
    { call, body, isRepeatable }: Named,
    { leaseMs }: HoldOptions,
    locally: (away: Away) => Promise<{ readonly decision: Decision; readonly made: Hold | null }>,
  ): Promise<{ readonly decision: Decision; readonly hold: Hold | null; readonly answer: object | null }> {
    const item: Item = { op, body: { ...body, ...(leaseMs === undefined ? {} : { leaseMs }) }, isRepeatable };
    const sentMs = performance.now();
    const found = await askOr<(Decision & HeldAnswer) | Held>(this.#shared, item, async (away, isDoubted) => {
      const { decision, made } = await locally(away);
      const hold = made === null ? null : new OwnHold(this.#shared, made, call, item, away.pricesOf(decision));
      if (hold !== null) away.book(hold.booking(), isDoubted);
      else if (isDoubted) away.book(undoing(item, call), true);
      return { decision, hold, answer: null };
    });
    if ("decision" in found) {
      this.#tell(found.decision, call);
      return found;
    }
    const { hold: id, held = [], leaseMs: _, onError: __, reports: ___, ...decision } = checkDecision(found);
    this.#shared.away?.learn(call, decision, sentMs);
    this.#tell(decision, call);
    const hold =
      id === null ? null : serviceHold(this.#shared, id, decision.replayed ? asFirst(call, decision, held) : call);
    return { decision, hold, answer: found };
  }

  async #report(call: Call, outcome: Outcome): Promise<void> {
    const told = "error" in outcome ? { error: true } : { result: outcome.result ?? null };
    const item: Item = { op: "report", body: { call, outcome: told }, isRepeatable: false };
    await askOr<unknown>(this.#shared, item, async (away, isDoubted) => {
      await away.limiter.report(call, outcome);
      if (!isDoubted) away.book({ item: () => item }, false);
    });
  }

  async #touch<Answer>(
    path: string,
    bucket: BucketDimensions & { readonly limit: string },
    more: object,
    { signal }: CallOptions,
  ): Promise<Answer> {
    const { limit, ...dimensions } = mergeDimensions(this.#bound, bucket, "bucket");
    const body = { limit, dimensions, ...more };
    const answer = await this.#alone({ method: "POST", path, body, isRepeatable: "grant" in more }, { signal });
    return answer as Answer;
  }

  async #alone(asked: Parameters<Wire["send"]>[0], options: CallOptions): Promise<unknown> {
    checkCallOptions(options);
    options.signal?.throwIfAborted();
    checkOpen(this.#shared);
    return this.#shared.wire.send(asked);
  }

  #tell(decision: Decision, call: Call): void {
    const { onDecision } = this.#shared;
    if (onDecision !== undefined) tell("onDecision", () => onDecision(decision, call));
  }
}

/** What the service says of a bucket to which the limit may not apply. */
type Nullable<Answer> = { readonly [Word in keyof Answer]: Answer[Word] | null };

async function close({ wire, away, ending }: ClientShared, withinMs: number): Promise<void> {
  const endsAtMs = performance.now() + withinMs;
  ending.abort(limiterClosed());
  await wire.close();
  await away?.close(Math.max(0, endsAtMs - performance.now()));
}

/** Whether the policy knows a unit, the service says. */
function checkUsage(usage: Cost): void {
  for (const [unit, units] of Object.entries(usage)) {
    if (Number.isSafeInteger(units) && units >= 0) continue;
    const expected = `a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`;
    throw new MisuseError("invalid-cost", { path: `cost.${unit}`, expected, got: String(units) });
  }
}
