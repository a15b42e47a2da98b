// The ids of MCP sessions as clients see them: signed texts with the server's own id in them. Each instance with the same secret can
// open them, so no instance keeps any.

import { randomId } from "../../ids.ts";
import type { Principal, Seal } from "../contract.ts";
import { RPC } from "../refusal.ts";
import { HttpRefusal } from "./exchange.ts";

export interface Session {
  /** What the session's calls are counted by. */
  readonly id: string;
  /** `null`: at the merged address, of a server that has no sessions. */
  readonly serversOwn: string | null;
  /** As the client has it. */
  readonly token: string;
}

interface Content {
  readonly s: string;
  readonly u: string;
}

export class Sessions {
  readonly #seal: Seal;

  constructor(seal: Seal) {
    this.#seal = seal;
  }

  /** @throws HttpRefusal 404 for one that the gateway has not sealed for this server and principal */
  open(server: string, principal: Principal, token: string, rawId: string | null): Session {
    const opened = this.#seal.open("session", token, boundTo(server, principal));
    if (opened === null) throw notFound(rawId);
    const { s: id, u: serversOwn } = JSON.parse(opened.content) as Content;
    return { id, serversOwn, token };
  }

  /** A new session. @throws HttpRefusal 502 for an id that is too long for a header once it is sealed */
  begin(server: string, principal: Principal, serversOwn: string): string {
    const content: Content = { s: randomId(), u: serversOwn };
    try {
      return this.#seal.seal("session", JSON.stringify(content), boundTo(server, principal));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const message = `The server "${server}" gave a session an id of ${serversOwn.length} characters, which is too long.`;
      throw new HttpRefusal(502, RPC.serverFailed, message);
    }
  }
}

export function notFound(rawId: string | null): HttpRefusal {
  return new HttpRefusal(404, RPC.sessionNotFound, "Session not found", rawId);
}

function boundTo(server: string, { user, tenant }: Principal): readonly (string | null)[] {
  return [server, user, tenant];
}
