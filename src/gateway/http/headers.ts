// Which headers pass between a client and a server. Those of the connection stay on it, and all others keep their order and case.

import type { IncomingMessage } from "node:http";
import type { ServerConfig } from "../config/config.ts";
import type { HeaderList } from "./exchange.ts";

/** A header's new value by its name in lower case; `null`: it does not pass. */
export type HeaderChanges = ReadonlyMap<string, string | null>;

export const SESSION_HEADER = "mcp-session-id";

/** Of one connection (RFC 9110, 7.6.1). */
const OF_CONNECTION = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];
/** What the gateway has answered or checked itself. */
const OF_CLIENT = [...OF_CONNECTION, "host", "origin", "expect", "content-length"];
/** What would lead a client past the gateway, or is said of the gateway's own pages. */
const OF_SERVER = [...OF_CONNECTION, "alt-svc"];
const CORS = /^access-control-/;
const CREDENTIALS = ["authorization", "cookie"];

/** The headers of a request for a server. */
export function requestHeaders(
  { rawHeaders, headers }: Pick<IncomingMessage, "rawHeaders" | "headers">,
  { url, credentials }: Pick<ServerConfig, "url" | "credentials">,
  ownHeaders: ReadonlySet<string>,
  changes: HeaderChanges,
): string[] {
  const dropped = new Set([...OF_CLIENT, ...ownHeaders, ...namedIn(headers.connection)]);
  if (credentials !== "forward") for (const name of CREDENTIALS) dropped.add(name);
  const all = new Map([["host", url.host], ...changes]);
  if (typeof credentials === "object") all.set(credentials.header.toLowerCase(), credentials.value);
  return changed(rawHeaders, dropped, all);
}

/** The headers of an answer for a client. */
export function answerHeaders(
  { rawHeaders, headers }: Pick<IncomingMessage, "rawHeaders" | "headers">,
  { credentials }: Pick<ServerConfig, "credentials">,
  changes: HeaderChanges,
): string[] {
  const dropped = new Set([...OF_SERVER, ...namedIn(headers.connection)]);
  if (credentials !== "forward") for (const name of ["set-cookie", "www-authenticate"]) dropped.add(name);
  for (const name of Object.keys(headers)) if (CORS.test(name)) dropped.add(name);
  return changed(rawHeaders, dropped, changes);
}

function changed(raw: HeaderList, dropped: ReadonlySet<string>, changes: HeaderChanges): string[] {
  const passed: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const [name = "", value = ""] = [raw[i], raw[i + 1]];
    const key = name.toLowerCase();
    if (!dropped.has(key) && !changes.has(key)) passed.push(name, value);
  }
  for (const [name, value] of changes) if (value !== null) passed.push(name, value);
  return passed;
}

/** Headers that `Connection` names are of the connection, too. */
function namedIn(connection: string | undefined): string[] {
  return (connection ?? "").split(",").map((name) => name.trim().toLowerCase());
}
