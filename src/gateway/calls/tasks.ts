// Calls that go on as tasks: each ends by what a poll or a notification says, at the latest when its time is over.

import { setTimer, type Timer } from "../../clock.ts";
import type { Message, Origin } from "../contract.ts";
import { textOf } from "../message.ts";
import { Bounded, type LiveCall } from "./live.ts";
import { endByNotification, endByPoll, endByResult } from "./result.ts";

const POLLS: ReadonlySet<string | null> = new Set(["tasks/get", "tasks/result", "tasks/cancel"]);

interface Task {
  readonly key: string;
  readonly call: LiveCall;
  readonly timer: Timer;
}

export class Tasks {
  readonly #byKey: Bounded<Task>;
  readonly #byCall = new Map<LiveCall, Task>();

  constructor(maxTasks: number) {
    this.#byKey = new Bounded(maxTasks);
  }

  get size(): number {
    return this.#byKey.size;
  }

  calls(): readonly LiveCall[] {
    return this.#byKey.values().map(({ call }) => call);
  }

  /** Whether there was room. A task whose id is used again has ended. */
  add(call: LiveCall, taskId: string, endsAfterMs: number): boolean {
    const key = keyOf(call.origin, taskId);
    const earlier = this.#byKey.get(key);
    if (earlier === undefined && this.#byKey.isFull) return false;
    const timer = setTimer(call.clock, endsAfterMs, () => void call.end("held", null));
    timer.unref?.();
    const task = { key, call, timer };
    this.#byKey.add(key, task);
    this.#byCall.set(call, task);
    void earlier?.call.end("held", null);
    return true;
  }

  remove(call: LiveCall): void {
    const task = this.#byCall.get(call);
    if (task === undefined) return;
    task.timer.cancel();
    this.#byCall.delete(call);
    this.#byKey.remove(task.key, task);
  }

  /** Whether the answer to a request says how a task stands that is followed here. */
  isPoll(request: Message, origin: Origin): boolean {
    return this.#polled(request, origin) !== undefined;
  }

  /** Reads the answer to such a request, or a notification. */
  hear(request: Message | null, answer: Message, origin: Origin): void {
    const polled = request === null ? undefined : this.#polled(request, origin);
    if (polled !== undefined && answer.kind === "response") hearAnswer(request as Message, answer, polled.call);
    const said = endByNotification(answer);
    const notified = said === null ? undefined : this.#byKey.get(keyOf(origin, said.taskId));
    if (said?.end && notified !== undefined) void notified.call.endBy(said.end.hasFailed, () => null);
  }

  #polled(request: Message, origin: Origin): Task | undefined {
    const taskId = POLLS.has(request.method) ? textOf(request, "params.taskId") : null;
    return taskId === null ? undefined : this.#byKey.get(keyOf(origin, taskId));
  }
}

function hearAnswer({ method }: Message, answer: Message, call: LiveCall): void {
  if (method === "tasks/result") void call.endBy(endByResult(answer), () => null);
  // A poll that failed says nothing of the task.
  else if (!answer.spans.has("result")) return;
  else if (method === "tasks/cancel") void call.end("onError", null);
  else {
    const end = endByPoll(answer);
    if (end !== null) void call.endBy(end.hasFailed, () => null);
  }
}

/** A task is its principal's: another one can neither poll nor end it. */
function keyOf({ server, principal: { user, tenant } }: Origin, taskId: string): string {
  return JSON.stringify([server, user, tenant, taskId]);
}
