// What a handler gets about a request, in either version of the SDK.

import type { Dimensions } from "../../kernel/call.ts";

/** What is known of a request, in the same words for both versions of the SDK. */
export interface McpRequest {
  readonly tool: string;
  /** The transport's, which gave it out and refuses any other. Over stdio and stateless HTTP there is none. */
  readonly sessionId?: string | undefined;
  /** What your authentication found. */
  readonly authInfo?: { readonly clientId?: string; readonly extra?: Readonly<Record<string, unknown>> } | undefined;
  /** The `_meta` that the client sent. It may have made up anything. */
  readonly meta: Readonly<Record<string, unknown>>;
  /** An HTTP header that the client sent: its own claim, too. */
  header(name: string): string | undefined;
}

/** What a client asks for. */
export interface Params {
  readonly name?: unknown;
  readonly arguments?: unknown;
  /** Of version 1: the client wants a task, and asks for the result later. */
  readonly task?: unknown;
}

type Meta = McpRequest["meta"];

/** A handler's context: version 2 has the session and the last two fields, version 1 the others. */
export interface Context extends Pick<McpRequest, "sessionId" | "authInfo"> {
  readonly signal?: AbortSignal;
  readonly requestId?: string | number;
  readonly _meta?: Meta;
  readonly requestInfo?: { readonly headers: Readonly<Record<string, string | string[] | undefined>> };
  readonly mcpReq?: { readonly id: string | number; readonly signal: AbortSignal; readonly _meta?: Meta };
  readonly http?: { readonly authInfo?: McpRequest["authInfo"]; readonly req?: { readonly headers: Headers } };
}

/** A request in the words of both. */
export function requestOf(tool: string, context: Context): McpRequest {
  const { sessionId, authInfo = context.http?.authInfo, mcpReq, _meta: meta = mcpReq?._meta ?? {} } = context;
  const header = (name: string) => {
    const headers = context.http?.req?.headers;
    const value = headers === undefined ? context.requestInfo?.headers[name.toLowerCase()] : headers.get(name);
    return Array.isArray(value) ? value.join(", ") : (value ?? undefined);
  };
  return { tool, sessionId, authInfo, meta, header };
}

/** Dimensions that a client cannot make up. */
export function verified({ sessionId, authInfo }: McpRequest): Dimensions {
  const { userId, tenantId } = authInfo?.extra ?? {};
  const [session, user, tenant, agent] = [sessionId, userId, tenantId, authInfo?.clientId].map((value) =>
    (typeof value === "string" && value !== "") || Number.isSafeInteger(value) ? (value as string | number) : undefined,
  );
  return { session, user, tenant, agent };
}
