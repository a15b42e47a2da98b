// What a client asks of a server: whose request it is, in which session, and how it is sent on.

import type { IncomingMessage } from "node:http";
import { randomId } from "../../ids.ts";
import type { GatewayLog, HttpConfig, Registry } from "../config/config.ts";
import type { Authenticator, Ledger, Message, Origin, Principal, Seal } from "../contract.ts";
import type { Exchange } from "./exchange.ts";
import { answerHeaders, type HeaderChanges, requestHeaders, SESSION_HEADER } from "./headers.ts";
import { checkHeaders, eraOf } from "./mcp-headers.ts";
import { notFound, type Session, type Sessions } from "./session.ts";
import type { Upstream } from "./upstream.ts";

/** What all requests share. */
export interface HttpRoom {
  readonly ledger: Ledger;
  readonly sessions: Sessions;
  readonly seal: Seal;
  readonly authenticator: Authenticator;
  readonly registry: Registry;
  /** The name of a tool in the policy. */
  readonly toolOf: (server: string, name: string) => string;
  readonly bounds: Pick<HttpConfig, "maxRequestBytes" | "maxMessageBytes">;
  readonly log: GatewayLog;
}

/** Who asks, and which server. */
export interface Asking {
  readonly exchange: Exchange;
  readonly upstream: Upstream;
  readonly principal: Principal;
}

export interface Asked extends Asking {
  /** `null`: it has no body. */
  readonly message: Message | null;
  readonly session: Session | null;
  readonly origin: Origin;
  /** Aborted: its request at the server is closed in the same tick. */
  readonly gone: AbortSignal;
  /** Of the merged address; `null`: of a server's own. */
  readonly relay: Relay | null;
}

/** How the merged address changes what passes between a client and one of its servers. */
export interface Relay {
  /** Of requests. */
  readonly headers: HeaderChanges;
  /** An event, and what it says, as the client reads it. */
  rename(event: Buffer, said: Message | null): Buffer;
}

/**
 * @param message `null`: a GET or a DELETE
 * @throws Refusal where a header contradicts the body, or the session is not known
 */
export function askedOf(asking: Asking, message: Message | null, room: HttpRoom): Asked {
  const { exchange, upstream, principal } = asking;
  const { name: server } = upstream.config;
  const { era, session } = begunOf(exchange, message, (token) => {
    return room.sessions.open(server, principal, token, message?.rawId ?? null);
  });
  // Without a session an id names a call within its request alone.
  const scope = session?.id ?? randomId();
  const origin: Origin = {
    transport: "http",
    era,
    server,
    scope,
    session: session?.id ?? null,
    principal,
    header: (name) => exchange.header(name),
  };
  return { ...asking, message, session, origin, gone: exchange.gone, relay: null };
}

/** The revision of a request, and its session. @throws Refusal as `askedOf` */
export function begunOf<Opened>(exchange: Exchange, message: Message | null, open: (token: string) => Opened) {
  const header = (name: string) => exchange.header(name);
  const era = eraOf(message, header);
  if (message !== null) checkHeaders(message, era, header);
  // A modern request has no session, whatever its headers say.
  const token = era === "modern" ? undefined : header(SESSION_HEADER);
  return { era, session: token === undefined ? null : open(token) };
}

/**
 * Sends a request to its server.
 *
 * @param isRead whether the answer is to be read here, and so must not be compressed
 * @throws HttpRefusal 502; 404 where the server does not know the session, and does not say so as JSON
 */
export async function send(
  { exchange, upstream, session, message, gone, relay }: Asked,
  body: Buffer | null,
  isRead: boolean,
  room: HttpRoom,
): Promise<IncomingMessage> {
  const { request } = exchange;
  const changes = new Map([[SESSION_HEADER, session?.serversOwn ?? null], ...(relay?.headers ?? [])]);
  if (body !== null) changes.set("content-length", String(body.length));
  if (isRead) changes.set("accept-encoding", "identity");
  const headers = requestHeaders(request, upstream.config, room.authenticator.ownHeaders, changes);
  const rawId = message?.rawId ?? null;
  const answer = await upstream.send({ method: request.method ?? "", headers, body, gone, rawId });
  if (answer.statusCode !== 404 || session === null || answer.headers["content-type"] !== undefined) return answer;
  answer.destroy();
  throw notFound(rawId);
}

/**
 * Sends the head of an answer.
 *
 * @param length of its body, where that is not the server's own; `null`: it is not known
 * @throws HttpRefusal 502 for a session whose id is too long
 */
export function begin(asked: Asked, answer: IncomingMessage, room: HttpRoom, length?: number | null): void {
  const { exchange, upstream } = asked;
  const changes = new Map<string, string | null>([[SESSION_HEADER, sessionFor(asked, answer, room)]]);
  if (length !== undefined) changes.set("content-length", length === null ? null : String(length));
  if (answer.headers["content-type"]?.startsWith("text/event-stream")) changes.set("x-accel-buffering", "no");
  exchange.begin(answer.statusCode ?? 502, answerHeaders(answer, upstream.config, changes));
}

/** The session's id that the client reads: only the answer to `initialize` begins one. */
function sessionFor(
  { message, origin, principal, session, upstream }: Asked,
  answer: IncomingMessage,
  { sessions }: HttpRoom,
): string | null {
  const given = answer.headers[SESSION_HEADER];
  if (typeof given !== "string" || origin.era === "modern") return null;
  if (given === session?.serversOwn) return session.token;
  return message?.method === "initialize" ? sessions.begin(upstream.config.name, principal, given) : null;
}
