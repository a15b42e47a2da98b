// Errors of JSON-RPC that the gateway itself answers with: their codes, and how they look.

import type { Reply } from "./contract.ts";

/** What the codes mean here. */
export const RPC = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  /** The server ended, cannot be reached, or wrote too much. */
  serverFailed: -32603,
  headerMismatch: -32020,
  sessionNotFound: -32001,
  /** Too many calls, or the gateway is stopping. */
  busy: -32000,
} as const;

/** Thrown for a message that is not passed on. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: number;
  /** The id of the message as it was written; `null` where it cannot be told. */
  readonly rawId: string | null;

  constructor(code: number, message: string, rawId: string | null = null) {
    super(message);
    this.code = code;
    this.rawId = rawId;
  }
}

/** An error as the answer to a request. */
export function errorReply(rawId: string | null, code: number, message: string, status = 200): Reply {
  const error = JSON.stringify({ code, message, data: { source: "tollgate" } });
  return jsonReply(`{"jsonrpc":"2.0","id":${rawId ?? "null"},"error":${error}}`, status);
}

export function jsonReply(text: string, status = 200): Reply {
  return { status, headers: { "content-type": "application/json" }, body: Buffer.from(text) };
}
