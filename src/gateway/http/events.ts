// Reads the bodies of servers: whole, or event by event.

import type { IncomingMessage } from "node:http";
import type { Message } from "../contract.ts";
import { readMessage } from "../message.ts";
import { Refusal } from "../refusal.ts";
import { EventSplitter } from "../sse.ts";

/** Thrown for a body, or an event, over the bound. */
export class TooLongError extends Error {
  override readonly name = "TooLongError";
}

/** What the body of an answer is. One that is compressed cannot be read. */
export function kindOf({ headers }: IncomingMessage): "json" | "events" | "other" | "compressed" {
  if ((headers["content-encoding"] ?? "identity").toLowerCase() !== "identity") return "compressed";
  const type = headers["content-type"] ?? "";
  if (/^\s*text\/event-stream\s*(;|$)/i.test(type)) return "events";
  return /^\s*application\/([\w.-]+\+)?json\s*(;|$)/i.test(type) ? "json" : "other";
}

/** @throws TooLongError, or what the stream fails with */
export async function wholeOf(body: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > maxBytes) throw new TooLongError();
    parts.push(part);
  }
  return Buffer.concat(parts, bytes);
}

/** Each event as soon as it is complete. @throws TooLongError, or what the stream fails with */
export async function* eventsOf(body: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  const complete: Buffer[] = [];
  let isTooLong = false;
  const splitter = new EventSplitter(maxBytes, {
    onEvent: (event) => complete.push(event),
    onTooLong() {
      isTooLong = true;
    },
  });
  for await (const chunk of body) {
    splitter.push(chunk);
    yield* complete.splice(0);
    if (isTooLong) throw new TooLongError();
  }
  splitter.end();
  yield* complete.splice(0);
}

/** What a server says; `null`: it is no message. */
export function messageIn(bytes: Buffer | null): Message | null {
  if (bytes === null) return null;
  try {
    return readMessage(bytes, "server");
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}
