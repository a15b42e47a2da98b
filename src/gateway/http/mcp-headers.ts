// What the headers of a request say of its body. The body is what is judged, so a header that says something else is refused: a
// server, or what stands before it, might act on the header.

import type { Era, Message } from "../contract.ts";
import { jsonOf, TOOLS_CALL, textOf } from "../message.ts";
import { Refusal, RPC } from "../refusal.ts";

type Header = (name: string) => string | undefined;

/** The first revision without `initialize`. Revisions are dates, so that their order is that of their texts. */
const FIRST_MODERN = "2026-07-28";
const VERSION_HEADER = "mcp-protocol-version";
const VERSION_KEY = "io.modelcontextprotocol/protocolVersion";
const SENTINEL = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/;

/** The era of a request, by its own word: it decides how the gateway itself answers. */
export function eraOf(message: Message | null, header: Header): Era {
  const versions = [header(VERSION_HEADER), message === null ? undefined : versionIn(message)];
  return versions.some((version) => version !== undefined && isModern(version)) ? "modern" : "legacy";
}

/** @throws Refusal -32020 */
export function checkHeaders(message: Message, era: Era, header: Header): void {
  const { method, rawId } = message;
  if (method === null) return;
  const isNeeded = era === "modern" && method === TOOLS_CALL;
  const check = (name: string, value: string | undefined) => {
    const given = header(name);
    if (given === undefined ? !isNeeded : decoded(given) === value) return;
    const words = given === undefined ? "is missing" : "contradicts the body";
    throw new Refusal(RPC.headerMismatch, `The header ${name} ${words}.`, rawId);
  };
  if (isNeeded) {
    const version = versionIn(message);
    // A request without a version is the server's to refuse.
    if (version !== undefined) check("MCP-Protocol-Version", version);
  }
  check("Mcp-Method", method);
  if (method === TOOLS_CALL) check("Mcp-Name", textOf(message, "params.name") ?? undefined);
}

function isModern(version: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(version) && version >= FIRST_MODERN;
}

function versionIn(message: Message): string | undefined {
  const meta = jsonOf(message, "params._meta") as Readonly<Record<string, unknown>> | null | undefined;
  const version = meta?.[VERSION_KEY];
  return typeof version === "string" ? version : undefined;
}

/** A value that no header could have is sent in base64. */
function decoded(value: string): string {
  const [, base64] = SENTINEL.exec(value) ?? [];
  return base64 === undefined ? value : Buffer.from(base64, "base64").toString();
}

/** A value as a header has it. */
export function encoded(value: string): string {
  const isPlain = /^[!-~]([ -~]*[!-~])?$/.test(value) && !SENTINEL.test(value);
  return isPlain ? value : `=?base64?${Buffer.from(value).toString("base64")}?=`;
}
