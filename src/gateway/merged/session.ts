// A session at the merged address: a signed text with the session of each server in it. No instance keeps any.

import { randomId } from "../../ids.ts";
import type { Principal, Seal } from "../contract.ts";
import { HttpRefusal } from "../http/exchange.ts";
import { notFound } from "../http/session.ts";
import { RPC } from "../refusal.ts";

/** What a server has agreed to. */
export interface Member {
  /** Its id of the session; `null`: it has no sessions. */
  readonly serversOwn: string | null;
  /** Of the protocol. */
  readonly version: string;
  readonly hasLogging: boolean;
}

export interface MergedSession {
  /** What the calls of all its servers are counted by. */
  readonly id: string;
  /** As the client has it. */
  readonly token: string;
  readonly members: ReadonlyMap<string, Member>;
}

/** By server: its id, its version, and 1 where it has logging. */
type Packed = Readonly<Record<string, readonly [string | null, string, number]>>;

interface Content {
  readonly s: string;
  readonly m: Packed;
}

/** @throws HttpRefusal 404 for one that the gateway has not sealed for this principal */
export function openSession(seal: Seal, principal: Principal, token: string, rawId: string | null): MergedSession {
  const opened = seal.open("sessions", token, boundTo(principal));
  if (opened === null) throw notFound(rawId);
  const { s: id, m: packed } = JSON.parse(opened.content) as Content;
  const members = Object.entries(packed).map(([name, [serversOwn, version, logging]]) => {
    return [name, { serversOwn, version, hasLogging: logging === 1 }] as const;
  });
  return { id, token, members: new Map(members) };
}

/** The token of a new session. @throws HttpRefusal 502 where it is too long for a header */
export function beginSession(seal: Seal, principal: Principal, members: ReadonlyMap<string, Member>): string {
  const packed: Packed = Object.fromEntries(
    [...members].map(([name, { serversOwn, version, hasLogging }]) => [
      name,
      [serversOwn, version, hasLogging ? 1 : 0],
    ]),
  );
  const content: Content = { s: randomId(), m: packed };
  try {
    return seal.seal("sessions", JSON.stringify(content), boundTo(principal));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const message = `The sessions of ${members.size} servers are too long for one header; use /mcp/<server>.`;
    throw new HttpRefusal(502, RPC.serverFailed, message);
  }
}

function boundTo({ user, tenant }: Principal): readonly (string | null)[] {
  return [user, tenant];
}
