// The bridge for programs that count tool calls by hand: the methods of the usual ToolRateLimiter class, over a store
// that all instances share. It knows one session and its present turn; the limiter judges the calls.

import { randomId } from "./ids.ts";
import type { Decision } from "./kernel/decision.ts";
import { checkOptionKeys, checkWhole, formatGot, invalidOption } from "./kernel/errors.ts";
import type { PolicyInput } from "./kernel/policy/input.ts";
import { checkMaxWait, createLimiter, type Limiter } from "./limiter.ts";
import type { Store } from "./store/store.ts";

/** How often one tool may be called: whole numbers from 0 (never) to 2^53 - 1. */
export interface ToolLimits {
  readonly maxPerTurn: number;
  readonly maxPerSession: number;
}

/** How a `ToolRateLimiter` is made. */
export interface ToolRateLimiterOptions {
  /** Where the counts live. Instances with the same store share them. It stays open: you passed it, you close it. */
  readonly store: Store;
  /** Whose counts they are: a string that is not empty, or a safe integer, which equals its decimal string. */
  readonly session: string | number;
  /** The present turn, where several instances serve one. Default: a random id, so that the turn is this instance's. */
  readonly turn?: string | number | undefined;
  /**
   * How long `tryCall` may wait until it is allowed, 0 to 3,600,000 ms. Default 0. Counts come back only an hour after a turn's
   * last call, and 24 hours after a session's: most calls are still denied at once.
   */
  readonly maxWaitMs?: number | undefined;
}

/** The answer for one call. */
export interface ToolRateLimiterAnswer {
  readonly allowed: boolean;
  /** When denied: what to tell the model. Made from the limits alone, never from arguments. */
  readonly reason?: string;
}

/** Calls counted, by tool. The records have no prototype, so that a tool may have any name. */
export interface ToolRateLimiterStats {
  readonly turn: Readonly<Record<string, number>>;
  readonly session: Readonly<Record<string, number>>;
}

const PER_TURN = "tool-per-turn";
const PER_SESSION = "tool-per-session";
/** For tools that the limits do not name. */
const OTHERWISE: ToolLimits = { maxPerTurn: 5, maxPerSession: 50 };
const MAX_TOOLS = 1_000;
const MAX_OTHERS = 100;
const MAX_OTHER_LENGTH = 256;

/**
 * Counts the tool calls of one session, and of its present turn, in a store. Make one for each session, or for each
 * request with its session. Tools that the limits do not name may be called 5 times in a turn and 50 in a session. A
 * tool's count starts from zero when none of its calls was counted in the turn for an hour, in the session for 24 hours.
 *
 * Methods that ask the store throw `StoreError` when it fails, and `MisuseError` `invalid-dimension` for an empty name.
 *
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { ToolRateLimiter } from "tollgate/tool-rate-limiter";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const limits = { send_email: { maxPerTurn: 1, maxPerSession: 3 } };
 * const limiter = new ToolRateLimiter(limits, { store: memoryStore(), session: "s1" });
 * const parallel = await Promise.all([limiter.tryCall("send_email"), limiter.tryCall("send_email")]);
 * console.log(parallel.map(({ allowed }) => allowed)); // [ true, false ]
 * limiter.resetTurn();
 * console.log((await limiter.tryCall("send_email")).allowed); // true
 * const { turn, session } = await limiter.getStats();
 * console.log(turn.send_email, session.send_email); // 1 2
 * ```
 */
export class ToolRateLimiter {
  readonly #session: Limiter;
  readonly #maxWaitMs: number | undefined;
  readonly #listed: ReadonlySet<string>;
  /** Used here without being listed: the last ones, the latest at the end. */
  readonly #others = new Set<string>();
  #turn: Limiter;

  /** @param limits by tool, at most 1,000 */
  constructor(limits: Readonly<Record<string, ToolLimits>>, options: ToolRateLimiterOptions) {
    checkLimits(limits);
    checkOptions(options);
    const { store, session, turn = randomId(), maxWaitMs } = options;
    this.#session = createLimiter({ policy: policyOf(limits), store }).for({ session });
    this.#turn = this.#session.for({ turn });
    this.#maxWaitMs = maxWaitMs;
    this.#listed = new Set(Object.keys(limits));
  }

  /** Whether a call would be allowed now. It reserves nothing: for calls that may be made in parallel, use `tryCall`. */
  async canCall(tool: string): Promise<ToolRateLimiterAnswer> {
    return answerOf(await this.#turn.peek({ tool }));
  }

  /** Counts a call that was made, also past the limits, and answers whether it was within them. */
  async recordCall(tool: string): Promise<ToolRateLimiterAnswer> {
    const decision = await this.#turn.record({ tool });
    this.#remember(tool);
    return answerOf(decision);
  }

  /** Counts a call if the limits allow it, in one atomic step; a denied one counts nothing. */
  async tryCall(tool: string): Promise<ToolRateLimiterAnswer> {
    const decision = await this.#turn.consume({ tool }, { maxWaitMs: this.#maxWaitMs });
    this.#remember(tool);
    return answerOf(decision);
  }

  /**
   * What all instances counted for this session and its present turn: of the tools listed, and of the last 100 others
   * that `tryCall` and `recordCall` of this instance were given, unless their names are longer than 256 characters.
   */
  async getStats(): Promise<ToolRateLimiterStats> {
    const turn: Record<string, number> = Object.create(null);
    const session: Record<string, number> = Object.create(null);
    const limiter = this.#turn;
    const tools = [...this.#listed, ...this.#others];
    const usages = await Promise.all(tools.map((tool) => limiter.usage({ tool })));
    for (const [i, tool] of tools.entries()) {
      for (const { limit, used } of usages[i] ?? []) (limit === PER_TURN ? turn : session)[tool] = used;
    }
    return { turn, session };
  }

  /** Begins a new turn, for this instance alone. Calls that are under way count for the turn that they began in. */
  resetTurn(): void {
    this.#turn = this.#session.for({ turn: randomId() });
  }

  /**
   * Clears the counts of this session and of its present turn, for all instances, of the tools in `getStats`.
   * One bucket after the other: a call that comes in between may count.
   */
  async reset(): Promise<void> {
    const [turn, session] = [this.#turn, this.#session];
    const tools = [...this.#listed, ...this.#others];
    await Promise.all(
      tools.flatMap((tool) => [turn.reset({ limit: PER_TURN, tool }), session.reset({ limit: PER_SESSION, tool })]),
    );
  }

  /** Bounded in number and in length, because models make names up. */
  #remember(tool: string): void {
    if (this.#listed.has(tool) || tool.length > MAX_OTHER_LENGTH) return;
    this.#others.delete(tool);
    this.#others.add(tool);
    for (const oldest of this.#others) {
      if (this.#others.size <= MAX_OTHERS) break;
      this.#others.delete(oldest);
    }
  }
}

function answerOf({ allowed, message }: Decision): ToolRateLimiterAnswer {
  return message === null ? { allowed } : { allowed, reason: message };
}

function policyOf(limits: Readonly<Record<string, ToolLimits>>): PolicyInput {
  const quotas = (name: keyof ToolLimits) => ({
    quota: OTHERWISE[name],
    quotas: { tool: Object.fromEntries(Object.entries(limits).map(([tool, limit]) => [tool, limit[name]])) },
  });
  return {
    version: 1,
    partition: "session",
    limits: [
      { name: PER_TURN, per: ["session", "turn", "tool"], ...quotas("maxPerTurn"), resetAfterIdle: "1h" },
      { name: PER_SESSION, per: ["session", "tool"], ...quotas("maxPerSession"), resetAfterIdle: "24h" },
    ],
  };
}

/** A map, a list or an object with `__proto__` set to another would seem to have no limits, or too few. */
function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function checkLimits(limits: unknown): void {
  if (!isPlainObject(limits))
    throw invalidOption("limits", "a plain object of { maxPerTurn, maxPerSession } by tool", limits);
  const entries = Object.entries(limits);
  if (entries.length > MAX_TOOLS) throw invalidOption("limits", `at most ${MAX_TOOLS} tools`, entries.length);
  for (const [tool, limit] of entries) {
    if (tool === "" || tool === "__proto__")
      throw invalidOption("limits", "names that are neither empty nor reserved", tool);
    const path = `limits[${formatGot(tool)}]`;
    if (!isPlainObject(limit)) throw invalidOption(path, "{ maxPerTurn, maxPerSession }", limit);
    checkOptionKeys(limit, ["maxPerTurn", "maxPerSession"], path);
    const { maxPerTurn, maxPerSession } = limit as Partial<ToolLimits>;
    for (const [name, calls] of Object.entries({ maxPerTurn, maxPerSession })) {
      checkWhole(`${path}.${name}`, calls, 0, Number.MAX_SAFE_INTEGER);
    }
  }
}

/** The store is looked at by `createLimiter`. */
function checkOptions(options: ToolRateLimiterOptions): void {
  checkOptionKeys(options, ["store", "session", "turn", "maxWaitMs"]);
  const { session, turn = 0, maxWaitMs } = options;
  checkMaxWait(maxWaitMs);
  for (const [name, id] of Object.entries({ session, turn })) {
    if ((typeof id === "string" && id !== "") || Number.isSafeInteger(id)) continue;
    throw invalidOption(name, "a string that is not empty, or a safe integer", id);
  }
}
