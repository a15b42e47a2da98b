// What a server's answer says of a call: that it is complete, that it needs input first, or that it goes on as a task. Only the
// keys that say so are decoded.

import type { Message } from "../contract.ts";
import { jsonOf, textOf } from "../message.ts";

export type Said =
  | { readonly is: "complete"; readonly hasFailed: boolean }
  | { readonly is: "input-required" }
  | { readonly is: "task"; readonly taskId: string; readonly ttlMs: number | null };

/** Of a task, as far as it has ended. */
export type TaskEnd = { readonly hasFailed: boolean } | null;

interface Task {
  readonly taskId?: unknown;
  readonly status?: unknown;
  readonly ttl?: unknown;
  readonly ttlMs?: unknown;
  readonly result?: { readonly isError?: unknown } | null;
}

/** Longest id of a task that is followed: it is kept until the task has ended. */
const MOST_ID_CHARACTERS = 1_024;
/** Above this a value is not decoded: no task that says only how it stands is so long. */
const MOST_TASK_BYTES = 65_536;

export function saidBy(response: Message): Said {
  if (!response.spans.has("result")) return { is: "complete", hasFailed: true };
  const type = textOf(response, "result.resultType");
  if (type === "input_required") return { is: "input-required" };
  const task = type === "task" ? taskIn(response) : innerTask(response);
  if (task !== null) return task;
  return { is: "complete", hasFailed: isError(response) };
}

/** Whether the call failed by an answer to `tasks/result`, which is the result of the call. */
export function endByResult(response: Message): boolean {
  return !response.spans.has("result") || isError(response);
}

/** What an answer to `tasks/get` says. */
export function endByPoll(response: Message): TaskEnd {
  const status = textOf(response, "result.status") ?? taskOf(response, "result.task")?.status;
  return endOf(status, () => taskOf(response, "result.result"));
}

/** Which task a notification is about, and what it says. */
export function endByNotification(message: Message): { readonly taskId: string; readonly end: TaskEnd } | null {
  if (message.method === null || !message.method.startsWith("notifications/tasks")) return null;
  const taskId = textOf(message, "params.taskId");
  if (taskId === null) return null;
  const end = endOf(textOf(message, "params.status"), () => taskOf(message, "params.result"));
  return { taskId, end };
}

/** The result as an outcome, for limits that count results. */
export function resultOf(response: Message): unknown {
  return jsonOf(response, "result");
}

function isError(response: Message): boolean {
  const { bytes, spans } = response;
  const span = spans.get("result.isError");
  return span !== undefined && bytes.toString("latin1", span.from, span.to) === "true";
}

/** The modern form: the result is the task. */
function taskIn(response: Message): Said | null {
  return followed(textOf(response, "result.taskId"), numberOf(response, "result.ttlMs")) ?? innerTask(response);
}

/** The legacy form: the result has the task. */
function innerTask(response: Message): Said | null {
  const task = taskOf(response, "result.task");
  const ttl = task?.ttlMs ?? task?.ttl;
  return followed(task?.taskId, typeof ttl === "number" ? ttl : null);
}

function followed(taskId: unknown, ttlMs: number | null): Said | null {
  if (typeof taskId !== "string" || taskId.length > MOST_ID_CHARACTERS) return null;
  return { is: "task", taskId, ttlMs };
}

function endOf(status: unknown, result: () => unknown): TaskEnd {
  if (status === "failed" || status === "cancelled") return { hasFailed: true };
  if (status !== "completed") return null;
  return { hasFailed: (result() as { readonly isError?: unknown } | null)?.isError === true };
}

function taskOf(message: Message, key: string): Task | null {
  const span = message.spans.get(key);
  if (span === undefined || span.to - span.from > MOST_TASK_BYTES) return null;
  const value = jsonOf(message, key);
  return typeof value === "object" ? (value as Task | null) : null;
}

function numberOf(message: Message, key: string): number | null {
  const span = message.spans.get(key);
  const value = span === undefined || span.to - span.from > 32 ? null : jsonOf(message, key);
  return typeof value === "number" ? value : null;
}
