// Which names the gateway answers to, and which pages may ask it. A page of another site could otherwise send requests through a
// visitor's browser, by a name of its own that leads here.

import { isIP } from "node:net";
import { invalidOption } from "../../kernel/errors.ts";
import type { HttpConfig } from "../config/config.ts";
import { RPC } from "../refusal.ts";
import { type Exchange, type HeaderList, HttpRefusal } from "./exchange.ts";

type DoorConfig = Pick<HttpConfig, "host" | "hosts" | "origins" | "publicUrl">;

export interface Door {
  /** @throws HttpRefusal 403 */
  check(exchange: Exchange): void;
  /** The headers that let the page read the answer. */
  headersFor(exchange: Exchange): HeaderList;
}

/** What a page may read, beside what it may read anyway. */
const EXPOSED = "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate";
const METHODS = "GET, POST, DELETE";
const PREFLIGHT_S = "7200";

/** @throws MisuseError `invalid-option` where no name is known for other machines */
export function createDoor({ host, hosts, origins, publicUrl }: DoorConfig): Door {
  const isHere = isLoopback(host);
  const names = new Set([...hosts, ...(publicUrl === null ? [] : [publicUrl.host])].map((name) => name.toLowerCase()));
  if (!isHere && names.size === 0) {
    throw invalidOption(
      "listen.hosts",
      `the names that clients use, because ${host} is no loopback address`,
      undefined,
    );
  }
  const pages = new Set(origins);
  const isName = (given: string) => {
    const name = nameOf(given);
    return names.has(given.toLowerCase()) || names.has(name) || (isHere && isLoopback(name));
  };
  const isPage = (origin: string) => pages.has(origin) || (isHere && isLoopback(nameOf(hostOf(origin) ?? "")));
  return {
    check(exchange) {
      const name = exchange.header("host") ?? "";
      if (!isName(name)) throw forbidden("This gateway has another name: add the one in Host to listen.hosts.");
      const origin = exchange.header("origin");
      if (origin === undefined || isPage(origin)) return;
      throw forbidden("This gateway answers no page of that site: add the one in Origin to listen.origins.");
    },
    headersFor(exchange) {
      const origin = exchange.header("origin");
      if (origin === undefined) return [];
      return ["access-control-allow-origin", origin, "access-control-expose-headers", EXPOSED, "vary", "origin"];
    },
  };
}

/** Answers whether a page may send a request. A page may send any header: servers have headers of their own. */
export function answerPreflight(exchange: Exchange): void {
  const asked = exchange.header("access-control-request-headers");
  const wanted = asked === undefined ? [] : ["access-control-allow-headers", asked];
  const allowed = ["access-control-allow-methods", METHODS, "access-control-max-age", PREFLIGHT_S, ...wanted];
  exchange.begin(204, exchange.header("access-control-request-method") === undefined ? ["allow", METHODS] : allowed);
  exchange.end();
}

function forbidden(message: string): HttpRefusal {
  return new HttpRefusal(403, RPC.invalidRequest, message);
}

function hostOf(origin: string): string | null {
  return URL.parse(origin)?.host ?? null;
}

/** Without its port, in lower case. */
function nameOf(host: string): string {
  return host
    .toLowerCase()
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1");
}

function isLoopback(name: string): boolean {
  return name === "localhost" || name === "::1" || (isIP(name) === 4 && name.startsWith("127."));
}
