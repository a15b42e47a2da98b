// Judges the calls of tools, and follows each to its end. One decision for a call over all its rounds: a request that brings a state
// of ours back goes on with its hold. How a call is settled is in open-call.ts.

import type { Call, Dimensions } from "../../kernel/call.ts";
import { MisuseError } from "../../kernel/errors.ts";
import type { RunningCall } from "../../limiter.ts";
import type { CallsConfig, GatewayLog, Registry } from "../config/config.ts";
import type { CallLimiter, DimensionsOf, Judgement, Ledger, Message, Origin, Reply, Seal } from "../contract.ts";
import { removal, splice } from "../json/splice.ts";
import { jsonOf, textOf } from "../message.ts";
import { errorReply, RPC } from "../refusal.ts";
import { denialReply, faultReply } from "./answers.ts";
import { CallRoom, clientOf, nameOf } from "./call-room.ts";
import { callKey, MOST_CALLS } from "./live.ts";
import { CallInFlight } from "./open-call.ts";
import { openState, type Presented, requestDigest, type Round } from "./state.ts";

/** What a ledger is made of. */
export interface LedgerParts {
  readonly limiter: CallLimiter;
  readonly dimensionsOf: DimensionsOf;
  readonly seal: Seal;
  readonly config: Pick<CallsConfig, "notices" | "maxWaitMs">;
  /** The name of a tool in the policy. */
  readonly toolOf: (server: string, name: string) => string;
  readonly registry: Pick<Registry, "sawCall">;
  /** Most calls that are open at a time, and most tasks. Default 10,000. */
  readonly maxCalls?: number;
  readonly log: GatewayLog;
}

/** A call that is being judged, as its message says it. */
interface Asked {
  readonly message: Message;
  readonly rawId: string;
  readonly origin: Origin;
  readonly tool: string;
  readonly args: unknown;
  readonly digest: () => string;
  /** `null`: it has no `requestState`. */
  readonly presented: Exclude<Presented, { is: "invalid" }> | null;
}

/** A call that may be made. */
interface Allowed {
  readonly is: "allowed";
  readonly running: RunningCall;
  readonly next: Round;
  readonly notice: string | null;
}

type Answer = Extract<Judgement, { is: "answer" }>;

const INVALID_STATE = "requestState is not valid for this request";
const ID_IN_USE = "A call with this id has not ended.";
const TOO_MANY = "Too many calls are running; try again later.";
const STOPPING = "The gateway is stopping; try again later.";
const CANCELLED = "The call was cancelled before it was made.";

export function createLedger(parts: LedgerParts): Ledger {
  return new CallLedger(parts);
}

class CallLedger implements Ledger {
  readonly #parts: LedgerParts;
  readonly #maxCalls: number;
  readonly #room: CallRoom;
  /** Ends the wait of each call that is being judged. */
  readonly #judging = new Map<string, AbortController>();
  readonly #judgements = new Set<Promise<unknown>>();
  #isClosing = false;

  constructor(parts: LedgerParts) {
    this.#parts = parts;
    this.#maxCalls = parts.maxCalls ?? MOST_CALLS;
    this.#room = new CallRoom(parts.seal, parts.config.notices, parts.log, this.#maxCalls);
  }

  get size(): number {
    return this.#room.size + this.#judgements.size;
  }

  async judge(message: Message, origin: Origin, signal: AbortSignal): Promise<Judgement> {
    const rawId = message.rawId ?? "null";
    if (this.#isClosing) return answer(errorReply(rawId, RPC.busy, STOPPING, 503));
    if (this.#room.open.size + this.#judgements.size >= this.#maxCalls) {
      return answer(errorReply(rawId, RPC.busy, TOO_MANY, 503));
    }
    const key = callKey(origin, rawId);
    // Its answer could not be told from that of the other call.
    const isTaken = this.#judging.get(key) !== undefined || this.#room.open.get(key) !== undefined;
    if (isTaken) return answer(errorReply(rawId, RPC.invalidRequest, ID_IN_USE, 400));
    const abandoned = new AbortController();
    const abandon = () => abandoned.abort();
    this.#judging.set(key, abandoned);
    signal.addEventListener("abort", abandon, { once: true });
    if (signal.aborted) abandon();
    const judging = this.#judge(message, rawId, origin, abandoned.signal);
    this.#judgements.add(judging);
    try {
      return await judging;
    } finally {
      this.#judgements.delete(judging);
      this.#judging.delete(key);
      signal.removeEventListener("abort", abandon);
    }
  }

  sawRequest(message: Message, origin: Origin): boolean {
    if (message.method === "notifications/cancelled") this.#cancel(message, origin);
    return this.#room.tasks.isPoll(message, origin);
  }

  sawAnswer(request: Message | null, answered: Message, origin: Origin): void {
    if (request === null && answered.kind === "response" && answered.rawId !== null) {
      const call = this.#room.open.get(callKey(origin, answered.rawId));
      if (call !== undefined && this.#room.detachedCalls.has(call)) void call.answered(answered);
      return;
    }
    try {
      this.#room.tasks.hear(request, answered, origin);
    } catch (error) {
      this.#parts.log.error({ server: origin.server, error: nameOf(error) }, "the state of a task could not be read");
    }
  }

  resumed(origin: Origin): () => void {
    return this.#room.detachedCalls.opens(origin);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    for (const abandoned of this.#judging.values()) abandoned.abort();
    await Promise.all(this.#judgements);
    await this.#room.close();
  }

  async #judge(message: Message, rawId: string, origin: Origin, abandoned: AbortSignal): Promise<Judgement> {
    try {
      const asked = this.#read(message, rawId, origin);
      if (asked === null) return answer(errorReply(rawId, RPC.invalidParams, INVALID_STATE));
      const decided = await this.#decide(asked, abandoned);
      if (decided.is === "answer") return decided;
      const { running, next, notice } = decided;
      const call = new CallInFlight({ rawId, origin, running, notice, next, digest: asked.digest }, this.#room);
      this.#room.enter(call);
      if (!abandoned.aborted) return { is: "forward", bytes: forwarded(asked), call };
      // The server never gets this request. An earlier round was made.
      await call.end(next.round === 1 ? "nothing" : "onError", null);
      return answer(errorReply(rawId, RPC.busy, CANCELLED));
    } catch (error) {
      if (abandoned.aborted) return answer(errorReply(rawId, RPC.busy, CANCELLED));
      this.#logFault(error, origin);
      return answer(faultReply(message, origin, codeOf(error)));
    }
  }

  /** `null`: its state is not valid. */
  #read(message: Message, rawId: string, origin: Origin): Asked | null {
    const args = jsonOf(message, "params.arguments");
    const digest = () => requestDigest(message, args);
    const tool = this.#parts.toolOf(origin.server, textOf(message, "params.name") ?? "");
    const asked = { message, rawId, origin, tool, args, digest };
    if (!message.spans.has("params.requestState")) return { ...asked, presented: null };
    const presented = openState(this.#parts.seal, origin, digest(), textOf(message, "params.requestState"));
    return presented.is === "invalid" ? null : { ...asked, presented };
  }

  async #decide(asked: Asked, abandoned: AbortSignal): Promise<Allowed | Answer> {
    const { message, origin, presented, tool } = asked;
    const round = presented?.round ?? null;
    const resumed = round === null ? null : await this.#resume(asked, round);
    if (resumed !== null) return resumed;
    const { limiter, dimensionsOf, config, registry } = this.#parts;
    const dimensions = dimensionsOf(origin, metaOf(message));
    const { maxWaitMs } = config;
    await this.#room.settled(clientOf(dimensions));
    const { decision, running } = await limiter.begin(callOf(asked, dimensions), { abandoned, maxWaitMs });
    registry.sawCall(origin.server, tool, decision.allowed);
    if (running === null) return answer(denialReply(message, origin, decision));
    const next = { holdId: running.hold.id, round: 1, dimensions };
    return { is: "allowed", running, next, notice: decision.notice };
  }

  /** Goes on with the hold of an earlier round; `null`: it is to be judged as a new call. */
  async #resume(asked: Asked, round: Round): Promise<Allowed | null> {
    const { holdId, dimensions, round: number } = round;
    try {
      const call = callOf(asked, dimensions);
      const { running } = await this.#parts.limiter.resume(holdId, call, { mark: String(number) });
      if (running === null) return null;
      return { is: "allowed", running, next: { ...round, round: number + 1 }, notice: null };
    } catch (error) {
      // The policy has changed meanwhile, so that the call of then cannot be judged any more.
      if (MisuseError.isInstance(error)) return null;
      throw error;
    }
  }

  #cancel(message: Message, origin: Origin): void {
    const span = message.spans.get("params.requestId");
    if (span === undefined) return;
    const rawId = message.bytes.toString("utf8", span.from, span.to);
    if (!/^["\d-]/.test(rawId)) return;
    const key = callKey(origin, rawId);
    this.#judging.get(key)?.abort();
    void this.#room.open.get(key)?.lost("cancelled");
  }

  #logFault(error: unknown, { server }: Origin): void {
    const fields = { server, code: codeOf(error), error: nameOf(error) };
    // What was found may be a client's word: only what was expected is shown.
    const faults = MisuseError.isInstance(error)
      ? { faults: error.faults.map(({ path, expected }) => `${path}: expected ${expected}`) }
      : {};
    this.#parts.log.error({ ...fields, ...faults }, "a tools/call could not be judged, and was not made");
  }
}

function answer(reply: Reply): Answer {
  return { is: "answer", reply };
}

function callOf({ tool, args, rawId }: Asked, dimensions: Dimensions): Call {
  return { ...dimensions, tool, args, toolCallId: rawId };
}

function metaOf(message: Message): Readonly<Record<string, unknown>> {
  const meta = jsonOf(message, "params._meta");
  return typeof meta === "object" && meta !== null ? (meta as Readonly<Record<string, unknown>>) : {};
}

/** The bytes for the server: its own state stands where ours stood. */
function forwarded({ message: { bytes, spans }, presented }: Asked): Buffer {
  const span = spans.get("params.requestState");
  if (presented === null || span === undefined) return bytes;
  const { serversOwn } = presented;
  return splice(bytes, [serversOwn === null ? removal(bytes, span) : { at: span, text: JSON.stringify(serversOwn) }]);
}

function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === "string" ? code : "internal";
}
