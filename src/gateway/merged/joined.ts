// Streams of several servers in one answer. A server that refuses, hangs or ends its stream costs the others nothing.

import type { IncomingMessage } from "node:http";
import { inBackground } from "../../clock.ts";
import type { Message } from "../contract.ts";
import { type Asked, send } from "../http/asked.ts";
import { eventsOf, kindOf, messageIn } from "../http/events.ts";
import { type Exchange, HttpRefusal } from "../http/exchange.ts";
import { dataOf, idOf } from "../sse.ts";
import { SHORT_PART } from "./ask.ts";
import type { MergedRoom } from "./asked.ts";

/** Longest pause before a stream that has ended is opened again. */
const MOST_PAUSE_MS = 30_000;

/** The client's side: one event at a time. */
export class Outlet {
  readonly #exchange: Exchange;
  #writing: Promise<void>;

  /** @param first what its events wait for */
  constructor(exchange: Exchange, first: Promise<void> = Promise.resolve()) {
    this.#exchange = exchange;
    this.#writing = first;
  }

  /** Sends the head of the answer, if that is still to be sent. */
  open(): void {
    if (this.#exchange.hasBegun) return;
    const headers = { "content-type": "text/event-stream", "cache-control": "no-cache, no-transform" };
    this.#exchange.begin(200, Object.entries({ ...headers, "x-accel-buffering": "no" }).flat());
  }

  write(event: Buffer): Promise<void> {
    this.#writing = this.#writing.then(() => {
      this.open();
      return this.#exchange.write(event);
    });
    return this.#writing;
  }
}

export interface FollowOptions {
  /** Whether an event reaches the client. @param said `null`: it is no message, such as a comment */
  keep(said: Message | null): boolean;
  /** Whether it ends with the server's stream. */
  readonly isOnce: boolean;
  /** Whether a server that cannot be reached is asked again before it has ever answered. */
  readonly isPatient: boolean;
  /** The server has answered, or failed. */
  onHead(): void;
}

/**
 * Passes the stream of one server until the client goes, and opens it again when it ends. Never rejects.
 *
 * @param askedAfter the request for what comes after an event of the server
 */
export async function follow(
  askedAfter: (lastEventId: string | null) => Asked,
  firstEventId: string | null,
  outlet: Outlet,
  room: MergedRoom,
  { keep, isOnce, isPatient, onHead }: FollowOptions,
): Promise<void> {
  let lastEventId = firstEventId;
  const firstMs = room.listMs / SHORT_PART;
  let pauseMs = firstMs;
  let isKnown = isPatient;
  for (;;) {
    const asked = askedAfter(lastEventId);
    const closed = lastEventId === null ? () => {} : room.ledger.resumed(asked.origin);
    try {
      const answer = await opened(asked, room);
      if (answer === null) return;
      isKnown = true;
      outlet.open();
      onHead();
      for await (const event of eventsOf(answer, room.bounds.maxMessageBytes)) {
        pauseMs = firstMs;
        lastEventId = idOf(event) ?? lastEventId;
        const said = messageIn(dataOf(event));
        if (said !== null) room.ledger.sawAnswer(null, said, asked.origin);
        if (keep(said)) await outlet.write(asked.relay?.rename(event, said) ?? event);
      }
    } catch (error) {
      const isOver = error instanceof HttpRefusal && error.status === 404;
      if (isOver || !isKnown) return;
    } finally {
      closed();
      onHead();
    }
    if (isOnce || asked.gone.aborted) return;
    await pause(pauseMs, asked.gone);
    pauseMs = Math.min(pauseMs * 2, MOST_PAUSE_MS);
  }
}

/** `null`: the server has no such stream. @throws what sending it fails with */
async function opened(asked: Asked, room: MergedRoom): Promise<IncomingMessage | null> {
  const answer = await send(asked, asked.message?.bytes ?? null, true, room);
  if (answer.statusCode === 200 && kindOf(answer) === "events") return answer;
  answer.destroy();
  return null;
}

/** Ends earlier when the client goes. */
export function pause(ms: number, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = inBackground(ms, () => end());
    const end = () => {
      timer.cancel();
      gone.removeEventListener("abort", end);
      resolve();
    };
    gone.addEventListener("abort", end);
    if (gone.aborted) end();
  });
}
