// The way of a `tools/call`: it is judged, sent on, and its answer is read before the client reads it.

import type { IncomingMessage } from "node:http";
import type { Judgement, Message, OpenCall } from "../contract.ts";
import { idKey } from "../message.ts";
import { errorReply, RPC } from "../refusal.ts";
import { dataOf, hasId, withData } from "../sse.ts";
import { type Asked, begin, type HttpRoom, send } from "./asked.ts";
import { eventsOf, kindOf, messageIn, TooLongError, wholeOf } from "./events.ts";
import { HttpRefusal } from "./exchange.ts";
import { pipe } from "./pass.ts";

interface AskedCall extends Asked {
  readonly message: Message;
}

type Forward = Extract<Judgement, { is: "forward" }>;

/** @throws Refusal */
export async function callTool(asked: AskedCall, room: HttpRoom): Promise<void> {
  const { exchange, message, origin, upstream } = asked;
  const { name, maxInFlight } = upstream.config;
  if (upstream.calls >= maxInFlight) {
    const text = `The server "${name}" has ${maxInFlight} calls in flight; try again later.`;
    throw new HttpRefusal(503, RPC.busy, text, message.rawId);
  }
  upstream.calls++;
  try {
    const judgement = await room.ledger.judge(message, origin, exchange.gone);
    if (judgement.is === "answer") exchange.reply(judgement.reply);
    else await forward(asked, judgement, room);
  } finally {
    upstream.calls--;
  }
}

async function forward(asked: AskedCall, { bytes, call }: Forward, room: HttpRoom): Promise<void> {
  let answer: IncomingMessage;
  try {
    answer = await send(asked, bytes, true, room);
  } catch (error) {
    await call.lost(asked.exchange.gone.aborted ? "client-gone" : "server-gone");
    throw error;
  }
  try {
    const kind = kindOf(answer);
    if (kind === "events") return await answerEvents(asked, answer, call, room);
    if (kind === "json") return await answerWhole(asked, answer, call, room);
    await call.lost("refused-by-server");
    if (kind === "compressed") throw failure(asked, "compressed an answer that was asked for as it is.");
    await pipe(asked, answer, room);
  } finally {
    answer.destroy();
  }
}

async function answerWhole(asked: AskedCall, answer: IncomingMessage, call: OpenCall, room: HttpRoom): Promise<void> {
  let body: Buffer;
  try {
    body = await wholeOf(answer, room.bounds.maxMessageBytes);
  } catch (error) {
    throw await lose(asked, call, error, room);
  }
  const said = messageIn(body);
  const isAnswer = said?.kind === "response";
  if (isAnswer) body = await call.answered(said);
  else await call.lost("refused-by-server");
  begin(asked, answer, room, body.length);
  asked.exchange.end(body);
}

/** Each event passes when it is complete. */
async function answerEvents(asked: AskedCall, answer: IncomingMessage, call: OpenCall, room: HttpRoom): Promise<void> {
  const { exchange, origin, relay } = asked;
  const key = idKey(call.rawId);
  let isAnswered = false;
  let isResumable = false;
  let error: unknown;
  begin(asked, answer, room, null);
  try {
    for await (const event of eventsOf(answer, room.bounds.maxMessageBytes)) {
      isResumable ||= origin.era === "legacy" && hasId(event);
      const said = messageIn(dataOf(event));
      let bytes = event;
      if (!isAnswered && said?.kind === "response" && said.rawId !== null && idKey(said.rawId) === key) {
        isAnswered = true;
        const own = await call.answered(said);
        if (own !== said.bytes) bytes = withData(event, own);
      } else if (said?.kind === "notification") room.ledger.sawAnswer(null, said, origin);
      await exchange.write(relay?.rename(bytes, said) ?? bytes);
    }
  } catch (thrown) {
    error = thrown;
  }
  // The client asks for the rest in a stream of its own.
  const goesOn = isResumable && !(error instanceof TooLongError);
  if (!isAnswered && !goesOn) return exchange.end(eventOf(await lose(asked, call, error, room)));
  if (!isAnswered) call.detached();
  if (error === undefined) exchange.end();
  else exchange.destroy();
}

/** The call has no answer. Returns what the client reads. */
async function lose(asked: AskedCall, call: OpenCall, error: unknown, room: HttpRoom): Promise<HttpRefusal> {
  const isTooLong = error instanceof TooLongError;
  const ofServer = isTooLong ? "too-large" : "server-gone";
  await call.lost(asked.exchange.gone.aborted ? "client-gone" : ofServer);
  const mebibytes = Math.round(room.bounds.maxMessageBytes / 1_048_576);
  return failure(
    asked,
    isTooLong ? `wrote an answer of more than ${mebibytes} MiB.` : "ended its answer before it was whole.",
  );
}

function failure({ upstream, message }: Pick<AskedCall, "upstream" | "message">, words: string): HttpRefusal {
  return new HttpRefusal(502, RPC.serverFailed, `The server "${upstream.config.name}" ${words}`, message.rawId);
}

function eventOf({ rawId, code, message }: HttpRefusal): Buffer {
  const { body } = errorReply(rawId, code, message);
  return Buffer.from(`event: message\ndata: ${body}\n\n`);
}
