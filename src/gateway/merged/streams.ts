// What a client reads as long as it likes: the joined streams of its session, and changes of tools (modern).

import type { Message } from "../contract.ts";
import { HttpRefusal } from "../http/exchange.ts";
import { splice } from "../json/splice.ts";
import { jsonOf, readMessage } from "../message.ts";
import { RPC } from "../refusal.ts";
import { asRequest, SHORT_PART } from "./ask.ts";
import { at, type MergedAsked, type MergedRoom } from "./asked.ts";
import { follow, Outlet, pause } from "./joined.ts";
import { dividedEventId } from "./names.ts";

const CHANGED = "notifications/tools/list_changed";
const SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId";

/** Answers GET: all streams, or the rest of one answer. @throws HttpRefusal 405 where no server has one */
export async function joinStreams(merged: MergedAsked, room: MergedRoom): Promise<void> {
  const { exchange } = merged;
  exchange.isLasting = true;
  const last = dividedEventId(exchange.header("last-event-id") ?? "");
  const isOnce = last !== null && !last.isJoined;
  const outlet = new Outlet(exchange);
  const following = merged.upstreams.map(async (upstream) => {
    const isOfLast = upstream.config.name === last?.server;
    if (isOnce && !isOfLast) return;
    const askedAfter = (lastEventId: string | null) => at(merged, upstream, null, { lastEventId, isJoined: !isOnce });
    const options = { keep: () => true, isOnce, isPatient: false, onHead: () => {} };
    await follow(askedAfter, isOfLast ? last.own : null, outlet, room, options);
  });
  await Promise.all(following);
  if (!exchange.hasBegun) throw new HttpRefusal(405, RPC.invalidRequest, "No server has such a stream.");
  exchange.end();
}

/** Answers `subscriptions/listen`. */
export async function listen(merged: MergedAsked, message: Message, room: MergedRoom): Promise<void> {
  const { exchange, upstreams } = merged;
  exchange.isLasting = true;
  const wanted = jsonOf(message, "params.notifications") as { readonly toolsListChanged?: unknown } | null | undefined;
  const span = message.spans.get("params.notifications");
  const meta = `"_meta":{"${SUBSCRIPTION}":${message.rawId}}`;
  const isWanted = wanted?.toolsListChanged === true && span !== undefined;
  const honored = isWanted ? '{"toolsListChanged":true}' : "{}";
  const acknowledged = `"method":"notifications/subscriptions/acknowledged","params":{"notifications":${honored},${meta}}`;
  const ready = Promise.withResolvers<void>();
  const outlet = new Outlet(
    exchange,
    ready.promise.then(() => exchange.write(eventOf(acknowledged))),
  );
  outlet.open();
  const asking = isWanted ? upstreams : [];
  const own = isWanted ? readMessage(splice(message.bytes, [{ at: span, text: honored }]), "client") : message;
  // What changes after the acknowledgement is heard of.
  let waiting = asking.length;
  const following = asking.map((upstream) => {
    let isOpen = false;
    const onHead = () => {
      if (!isOpen && --waiting === 0) ready.resolve();
      isOpen = true;
    };
    const keep = (said: Message | null) => said === null || said.method === CHANGED;
    const askedAfter = () => asRequest(merged, upstream, own, exchange.gone);
    return follow(askedAfter, null, outlet, room, { keep, isOnce: false, isPatient: true, onHead });
  });
  if (waiting === 0) ready.resolve();
  void pause(room.listMs / SHORT_PART, exchange.gone).then(ready.resolve);
  await Promise.all(following);
  await outlet.write(eventOf(`"id":${message.rawId},"result":{"resultType":"complete",${meta}}`));
  exchange.end();
}

function eventOf(members: string): Buffer {
  return Buffer.from(`event: message\ndata: {"jsonrpc":"2.0",${members}}\n\n`);
}
