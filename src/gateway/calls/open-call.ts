// One call that was let through, from its decision to its end: it is kept alive, settled once, or goes on as a later round or a
// task. Accounting never costs an answer: what fails after the decision is emitted by the limiter, or logged.

import type { Clock } from "../../clock.ts";
import { within } from "../../deadlines.ts";
import type { Outcome, RunningCall } from "../../limiter.ts";
import { endRunning, keepAlive } from "../../limiter.ts";
import type { Loss, Message, Origin } from "../contract.ts";
import { addition, splice } from "../json/splice.ts";
import { jsonOf, textOf } from "../message.ts";
import { errorReply, RPC } from "../refusal.ts";
import { noticeChanges } from "./answers.ts";
import { type CallRoom, clientOf, nameOf } from "./call-room.ts";
import type { LiveCall, Unnamed } from "./live.ts";
import { resultOf, type Said, saidBy } from "./result.ts";
import { type Round, SUSPENDED_MS, sealState } from "./state.ts";

/** How long an answer waits until its hold is kept for the next round. */
const EXTEND_FIRST_MS = 250;

/** What a call began with. */
export interface Opened {
  readonly rawId: string;
  readonly origin: Origin;
  readonly running: RunningCall;
  readonly notice: string | null;
  /** How it goes on when it is interrupted. */
  readonly next: Round;
  /** Of its tool and arguments. */
  readonly digest: () => string;
}

export class CallInFlight implements LiveCall {
  readonly rawId: string;
  readonly origin: Origin;
  readonly clock: Clock;
  readonly #opened: Opened;
  readonly #room: CallRoom;
  readonly #alive: ReturnType<typeof keepAlive>;
  /** Whether its transport has ended it: a task goes on after its answer. */
  #isAnswered = false;
  #isOver = false;

  constructor(opened: Opened, room: CallRoom) {
    this.#opened = opened;
    this.rawId = opened.rawId;
    this.origin = opened.origin;
    this.clock = opened.running.clock;
    this.#room = room;
    this.#alive = keepAlive(opened.running, {}, () => ({}));
  }

  async answered(response: Message): Promise<Buffer> {
    if (this.#isOver || this.#isAnswered) return response.bytes;
    this.#isAnswered = true;
    try {
      return await this.#take(response);
    } catch (error) {
      // An answer that cannot be read is the client's to read.
      this.#room.log.error(
        { server: this.origin.server, error: nameOf(error) },
        "an answer of a tool could not be read",
      );
      await this.end("held", null);
      return response.bytes;
    }
  }

  detached(): void {
    if (!this.#isOver && !this.#isAnswered) this.#room.detach(this);
  }

  async lost(why: Loss): Promise<void> {
    if (!this.#isAnswered) await this.#lose(why);
  }

  endBy(hasFailed: boolean, result: () => unknown): Promise<void> {
    return this.end(hasFailed ? "onError" : "held", hasFailed ? { error: "failed" } : { result: result() });
  }

  /** Settles it. The next call of its client waits for that, and its answer does not. */
  async end(unnamed: Unnamed, outcome: Outcome | null): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#room.leave(this);
    const { running, next } = this.#opened;
    const counted = running.wantsOutcome ? outcome : null;
    const settling = this.#room.track(
      this.#alive.stop().then((booked) => endRunning(running, {}, unnamed, booked, counted)),
    );
    if (running.heldUnits.length > 0 || counted !== null) this.#room.settleFirst(clientOf(next.dimensions), settling);
  }

  async #lose(why: Loss): Promise<void> {
    // A call that its client ended did not fail by itself.
    const isOfClient = why === "cancelled" || why === "client-gone" || why === "stopping";
    await this.end("onError", isOfClient ? null : { error: why });
  }

  async #take(response: Message): Promise<Buffer> {
    const said = saidBy(response);
    if (said.is === "input-required") return this.#suspend(response);
    if (said.is === "task" && this.#followTask(said)) return response.bytes;
    const hasFailed = said.is === "complete" && said.hasFailed;
    await this.endBy(hasFailed, () => (this.#opened.running.wantsOutcome ? resultOf(response) : null));
    const { notice } = this.#opened;
    if (notice === null || said.is !== "complete") return response.bytes;
    return splice(response.bytes, noticeChanges(response, notice, this.#room.notices));
  }

  /** Keeps the hold for the next round, and gives the client a state of ours in place of the server's. */
  async #suspend(response: Message): Promise<Buffer> {
    const { origin, digest, next, running } = this.#opened;
    const { bytes, spans } = response;
    const span = spans.get("result.requestState");
    const serversOwn = textOf(response, "result.requestState");
    if (span !== undefined && serversOwn === null && jsonOf(response, "result.requestState") !== null) {
      await this.#lose("too-large");
      return this.#failed("The server's requestState is not a string.");
    }
    let token: string;
    try {
      token = JSON.stringify(sealState(this.#room.seal, origin, digest(), next, serversOwn));
    } catch {
      await this.#lose("too-large");
      return this.#failed("The server's requestState is too long.");
    }
    this.#isOver = true;
    this.#room.leave(this);
    const extending = this.#alive.stop().then(async (booked) => {
      if (booked === null && running.leaseMs !== null) await running.hold.extend({ leaseMs: SUSPENDED_MS });
    });
    await within(EXTEND_FIRST_MS, this.#room.track(extending)).catch(() => {});
    if (span !== undefined) return splice(bytes, [{ at: span, text: token }]);
    const result = spans.get("result");
    return result === undefined ? bytes : splice(bytes, [addition(bytes, result, "requestState", token)]);
  }

  #followTask({ taskId, ttlMs }: Extract<Said, { is: "task" }>): boolean {
    const { running } = this.#opened;
    return this.#room.followTask(this, taskId, Math.min(ttlMs ?? running.maxHoldMs, running.maxHoldMs));
  }

  #failed(message: string): Buffer {
    return errorReply(this.rawId, RPC.serverFailed, message).body;
  }
}
