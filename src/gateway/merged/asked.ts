// What a client asks of the merged address, and what that is as a request of one server.

import { randomId } from "../../ids.ts";
import type { Era, Message, Origin, Principal } from "../contract.ts";
import { type Asked, begunOf, type HttpRoom } from "../http/asked.ts";
import type { Exchange } from "../http/exchange.ts";
import { encoded } from "../http/mcp-headers.ts";
import type { Upstream } from "../http/upstream.ts";
import { TOOLS_CALL, textOf } from "../message.ts";
import { renamedEvent } from "./rewritten.ts";
import { type MergedSession, openSession } from "./session.ts";

export interface MergedRoom extends HttpRoom {
  /** In the order of the file. */
  readonly upstreams: ReadonlyMap<string, Upstream>;
  /** How long a server has for an answer that is merged with those of others. */
  readonly listMs: number;
  /** Aborted when the gateway stops. */
  readonly stopping: AbortSignal;
}

export interface MergedAsked {
  readonly exchange: Exchange;
  readonly principal: Principal;
  /** `null`: a GET or a DELETE. */
  readonly message: Message | null;
  readonly era: Era;
  /** `null`: a modern request, or one of a client that keeps none. */
  readonly session: MergedSession | null;
  /** What its calls are counted by. */
  readonly scope: string;
  /** The servers of its session; without one all. */
  readonly upstreams: readonly Upstream[];
}

/** @throws Refusal where a header contradicts the body, or the session is not known */
export function mergedAskedOf(
  { exchange, principal }: Pick<MergedAsked, "exchange" | "principal">,
  message: Message | null,
  room: MergedRoom,
): MergedAsked {
  const { era, session } = begunOf(exchange, message, (token) => {
    return openSession(room.seal, principal, token, message?.rawId ?? null);
  });
  const all = [...room.upstreams.values()];
  const upstreams = session === null ? all : all.filter(({ config }) => session.members.has(config.name));
  return { exchange, principal, message, era, session, scope: session?.id ?? randomId(), upstreams };
}

/** The request as one of a server. */
export function at(
  { exchange, principal, era, session, scope }: MergedAsked,
  upstream: Upstream,
  message: Message | null,
  { gone = exchange.gone, isJoined = false, lastEventId }: Partial<AtOptions> = {},
): Asked {
  const { name: server } = upstream.config;
  const member = session?.members.get(server);
  const header = (name: string) => exchange.header(name);
  const headers = new Map<string, string | null>();
  if (member !== undefined) headers.set("mcp-protocol-version", member.version);
  if (lastEventId !== undefined) headers.set("last-event-id", lastEventId);
  if (message?.method === TOOLS_CALL && header("mcp-name") !== undefined) {
    headers.set("mcp-name", encoded(textOf(message, "params.name") ?? ""));
  }
  const origin: Origin = {
    transport: "http",
    era,
    server,
    scope,
    session: session?.id ?? null,
    principal,
    header,
  };
  return {
    exchange,
    upstream,
    principal,
    message,
    origin,
    gone,
    session: session === null ? null : { id: scope, serversOwn: member?.serversOwn ?? null, token: session.token },
    relay: { headers, rename: (event, said) => renamedEvent(event, said, server, isJoined) },
  };
}

export interface AtOptions {
  readonly gone: AbortSignal;
  /** Whether its stream is one of several in one answer. */
  readonly isJoined: boolean;
  /** As the server gave it; `null`: the stream begins without one. */
  readonly lastEventId: string | null;
}
