// Asks servers for answers that are merged: each is read as a whole, within a time.

import type { IncomingHttpHeaders } from "node:http";
import { timeoutSignal } from "../../clock.ts";
import type { Message } from "../contract.ts";
import { type Asked, type HttpRoom, send } from "../http/asked.ts";
import { eventsOf, kindOf, messageIn, TooLongError, wholeOf } from "../http/events.ts";
import type { Upstream } from "../http/upstream.ts";
import { idKey, jsonOf } from "../message.ts";
import { Refusal } from "../refusal.ts";
import { dataOf } from "../sse.ts";
import { at, type MergedAsked, type MergedRoom } from "./asked.ts";

/** Which part of the time for an answer a client waits for a server that it can do without. */
export const SHORT_PART = 10;

export interface Answered {
  readonly said: Message;
  readonly headers: IncomingHttpHeaders;
}

/** Thrown for an answer that cannot be merged. */
export class UnusableError extends Error {}

/** What a server answered, or why it did not. */
export interface Outcome<Value> {
  readonly upstream: Upstream;
  readonly value: Value | null;
  /** In words; empty: it did. */
  readonly reason: string;
}

/** Never rejects. @param read given a signal that ends it when its time is over, or the client gone */
export async function outcomeOf<Value>(
  { exchange }: MergedAsked,
  upstream: Upstream,
  room: MergedRoom,
  read: (signal: AbortSignal) => Promise<Value>,
): Promise<Outcome<Value>> {
  const late = timeoutSignal(room.listMs);
  try {
    const value = await read(AbortSignal.any([exchange.gone, room.stopping, late.signal]));
    return { upstream, value, reason: "" };
  } catch (error) {
    return { upstream, value: null, reason: reasonFor(error, upstream, late.signal.aborted, room) };
  } finally {
    late.cancel();
  }
}

/** The result of a server. @throws what it fails with, or for an error as its answer */
export async function resultOf(asked: Asked & { readonly message: Message }, room: HttpRoom): Promise<Answered> {
  const answer = await send(asked, asked.message.bytes, true, room);
  const key = idKey(asked.message.rawId ?? "null");
  const isOwn = (said: Message | null): said is Message =>
    said?.kind === "response" && said.rawId !== null && idKey(said.rawId) === key;
  const { maxMessageBytes } = room.bounds;
  try {
    const kind = kindOf(answer);
    const bodies = kind === "events" ? eventsOf(answer, maxMessageBytes) : [await wholeOf(answer, maxMessageBytes)];
    for await (const body of bodies) {
      const said = messageIn(kind === "events" ? dataOf(body) : body);
      if (!isOwn(said)) continue;
      if (said.spans.has("result")) return { said, headers: answer.headers };
      throw new UnusableError(`answered with an error (${codeIn(said)}).`);
    }
    throw new UnusableError(`gave no answer (status ${answer.statusCode}).`);
  } finally {
    answer.destroy();
  }
}

/** Of a server that is not in a session. */
export function absentWords(server: string): string {
  return `The server "${server}" is not in this session: it had no tools or no answer. Begin a new one to use it.`;
}

/** What a request is as one of a server whose answer is read here. */
export function asRequest(merged: MergedAsked, upstream: Upstream, message: Message, gone: AbortSignal) {
  return { ...at(merged, upstream, message, { gone }), message };
}

function reasonFor(error: unknown, { config }: Upstream, isLate: boolean, { listMs, bounds }: MergedRoom): string {
  if (error instanceof Refusal) return error.message;
  const words = error instanceof UnusableError ? error.message : null;
  const tooLong = `wrote an answer of more than ${Math.round(bounds.maxMessageBytes / 1_048_576)} MiB.`;
  const late = isLate ? `did not answer within ${listMs / 1_000} s.` : "ended its answer before it was whole.";
  return `The server "${config.name}" ${words ?? (error instanceof TooLongError ? tooLong : late)}`;
}

function codeIn(said: Message): string {
  const { code } = (jsonOf(said, "error") ?? {}) as { readonly code?: unknown };
  return typeof code === "number" ? String(code) : "no code";
}
