// What all servers are told, and none is waited for longer than a short time.

import type { Message } from "../contract.ts";
import { send } from "../http/asked.ts";
import { wholeOf } from "../http/events.ts";
import type { Upstream } from "../http/upstream.ts";
import { outcomeOf, SHORT_PART } from "./ask.ts";
import { at, type MergedAsked, type MergedRoom } from "./asked.ts";
import { pause } from "./joined.ts";

/** The status of each server that has answered by then; the others go on. @param message `null`: the end of the session */
export async function tellAll(
  merged: MergedAsked,
  upstreams: readonly Upstream[],
  message: Message | null,
  room: MergedRoom,
): Promise<number[]> {
  const statuses: number[] = [];
  const telling = upstreams.map((upstream) => {
    const asked = at(merged, upstream, message);
    if (message !== null) room.ledger.sawRequest(message, asked.origin);
    return outcomeOf(merged, upstream, room, async (gone) => {
      const answer = await send({ ...asked, gone }, message?.bytes ?? null, false, room);
      statuses.push(answer.statusCode ?? 0);
      await wholeOf(answer, room.bounds.maxMessageBytes);
    });
  });
  await Promise.race([Promise.all(telling), pause(room.listMs / SHORT_PART, merged.exchange.gone)]);
  return [...statuses];
}
