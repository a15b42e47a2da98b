// What is not judged passes as it comes. Some of it is read on the way, and nothing of it is changed: what it says of tasks and of
// resumed calls, and which tools there are.

import type { IncomingMessage } from "node:http";
import type { Message } from "../contract.ts";
import { idKey, jsonOf } from "../message.ts";
import { dataOf, EventSplitter } from "../sse.ts";
import { type Asked, begin, type HttpRoom, send } from "./asked.ts";
import { kindOf, messageIn } from "./events.ts";

/** Reads a copy of a body. */
interface Tap {
  push(chunk: Buffer): void;
  end(): void;
}

type Hear = (said: Message) => void;

export const TOOLS_LIST = "tools/list";
export const LISTEN = "subscriptions/listen";
/** A list of tools over this is not shown. */
const MOST_LIST_BYTES = 1_048_576;

/** @throws Refusal */
export async function pass(asked: Asked, room: HttpRoom): Promise<void> {
  const { exchange, message, origin } = asked;
  const isWatched = message !== null && room.ledger.sawRequest(message, origin);
  exchange.isLasting = exchange.request.method === "GET" || message?.method === LISTEN;
  const isRead = exchange.isLasting || isWatched || message?.method === TOOLS_LIST;
  const isResumed = message === null && exchange.header("last-event-id") !== undefined;
  const closed = isResumed ? room.ledger.resumed(origin) : () => {};
  try {
    const answer = await send(asked, message?.bytes ?? null, isRead, room);
    await pipe(asked, answer, room, tapOf(answer, hearerOf(asked, isWatched, room), isRead, room));
  } finally {
    closed();
  }
}

/** Passes an answer with its bytes as they come. @throws what the answer fails with */
export async function pipe(asked: Asked, answer: IncomingMessage, room: HttpRoom, tap: Tap | null = null) {
  const { exchange } = asked;
  try {
    begin(asked, answer, room);
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      tap?.push(chunk);
      await exchange.write(chunk);
    }
    tap?.end();
    exchange.end();
  } finally {
    answer.destroy();
  }
}

function tapOf(answer: IncomingMessage, hear: Hear, isRead: boolean, { bounds }: HttpRoom): Tap | null {
  const kind = kindOf(answer);
  const hearBytes = (bytes: Buffer | null) => {
    const said = messageIn(bytes);
    if (said !== null) hear(said);
  };
  if (kind === "events") {
    return new EventSplitter(bounds.maxMessageBytes, {
      onEvent: (event) => hearBytes(dataOf(event)),
      onTooLong() {},
    });
  }
  return kind === "json" && isRead ? wholeTap(bounds.maxMessageBytes, hearBytes) : null;
}

function wholeTap(maxBytes: number, hear: (bytes: Buffer) => void): Tap {
  const parts: Buffer[] = [];
  let bytes = 0;
  return {
    push(chunk) {
      bytes += chunk.length;
      if (bytes > maxBytes) parts.length = 0;
      else parts.push(chunk);
    },
    end() {
      if (bytes <= maxBytes) hear(Buffer.concat(parts));
    },
  };
}

function hearerOf({ message, origin }: Asked, isWatched: boolean, room: HttpRoom): Hear {
  const { ledger } = room;
  const key = message?.rawId == null ? null : idKey(message.rawId);
  return (said) => {
    // A stream that was resumed has the answers of other requests.
    if (said.kind === "notification" || message === null) return ledger.sawAnswer(null, said, origin);
    if (said.kind !== "response" || said.rawId === null || idKey(said.rawId) !== key) return;
    if (isWatched) ledger.sawAnswer(message, said, origin);
    if (message.method === TOOLS_LIST) showTools(said, origin.server, room);
  };
}

/** Shows people the tools of an answer to `tools/list`. */
export function showTools(said: Message, server: string, { registry, toolOf }: HttpRoom): void {
  const tools = toolsIn(said).map((tool) => ({ ...tool, name: toolOf(server, tool.name) }));
  registry.sawTools(server, tools);
}

function toolsIn(said: Message): { readonly name: string; readonly description: string | null }[] {
  const span = said.spans.get("result.tools");
  if (span === undefined || span.to - span.from > MOST_LIST_BYTES) return [];
  const tools = jsonOf(said, "result.tools");
  if (!Array.isArray(tools)) return [];
  return tools.flatMap((tool: { readonly name?: unknown; readonly description?: unknown } | null) => {
    const { name, description } = tool ?? {};
    if (typeof name !== "string") return [];
    return [{ name, description: typeof description === "string" ? description : null }];
  });
}
