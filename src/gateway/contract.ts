// What the parts of the gateway say to each other: the pipe moves messages, the ledger judges calls, identity says whose they are.

import type { Dimensions } from "../kernel/call.ts";
import type { HostedLimiter } from "../limiter.ts";

/** What the gateway needs of a limiter, whether it has a store or a service (`--url`). */
export interface CallLimiter extends Pick<HostedLimiter, "begin" | "resume" | "close"> {}

/** Whether a client opened with `initialize` (2025-11-25 and before), or sends its version with each request (2026-07-28). */
export type Era = "legacy" | "modern";

/** A part of a text in bytes: from the first byte to the one after the last. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** One JSON-RPC message. Its bytes are what came, and what is sent unless a span is changed. */
export interface Message {
  readonly bytes: Buffer;
  readonly kind: "request" | "notification" | "response";
  /** The id as it was written: `7`, `"7"`. `null`: a notification, or a response to what could not be read. */
  readonly rawId: string | null;
  readonly method: string | null;
  /** The values of the keys at the top level, and in `params` or `result`: `params.name`, `result._meta`. Absent keys are absent. */
  readonly spans: ReadonlyMap<string, Span>;
}

/** Reads the text of a message. Throws a `Refusal` for one that two readers may read differently. */
export type ReadMessage = (bytes: Buffer, from: "client" | "server") => Message;

/** The bytes with other text at some spans; an empty span inserts. The spans are sorted and do not overlap. */
export type Splice = (bytes: Buffer, changes: readonly { readonly at: Span; readonly text: string }[]) => Buffer;

/** An answer of the gateway itself. Over stdio only its body is sent. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What the credential of a request proves. `null`: nothing. */
export interface Principal {
  readonly user: string | null;
  readonly tenant: string | null;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Where a message came from. */
export interface Origin {
  readonly transport: "stdio" | "http";
  readonly era: Era;
  /** The name of the server in the configuration; of stdio: `server`. */
  readonly server: string;
  /** Within it ids name one call: the process, the session, or this one request. */
  readonly scope: string;
  /** The session that the gateway has sealed, or that was configured; `null`: there is none. */
  readonly session: string | null;
  readonly principal: Principal;
  /** A header as the client sent it: its own claim. */
  header(name: string): string | undefined;
}

/** Says whose a request is. The HTTP transport asks it for each request. */
export interface Authenticator {
  /** @returns the principal, or the answer to send instead (401). Never rejects. */
  check(headers: Readonly<Record<string, string | string[] | undefined>>): Promise<Principal | Reply>;
  /** Headers that are proof for the gateway alone, in lower case: never forwarded. */
  readonly ownHeaders: ReadonlySet<string>;
  /** The document for /.well-known/oauth-protected-resource; `null`: none. */
  readonly metadata: Reply | null;
}

/** The dimensions of a call; each that identity is asked for has a value. */
export type DimensionsOf = (origin: Origin, meta: Readonly<Record<string, unknown>>) => Dimensions;

/** Why a call has no answer. */
export type Loss = "cancelled" | "client-gone" | "server-gone" | "refused-by-server" | "too-large" | "stopping";

/** A call that was let through, until it has ended. Exactly one of its methods ends it; later ones do nothing. */
export interface OpenCall {
  readonly rawId: string;
  /** Takes the server's answer, and returns the bytes to send instead: the same buffer when nothing changes. Never rejects. */
  answered(response: Message): Promise<Buffer>;
  /** The stream ended before the answer and can be resumed: the call goes on elsewhere (legacy). */
  detached(): void;
  lost(why: Loss): Promise<void>;
}

/** What becomes of a `tools/call`. */
export type Judgement =
  | { readonly is: "answer"; readonly reply: Reply }
  /** `bytes` go to the server: the message's own, unless `requestState` was ours. */
  | { readonly is: "forward"; readonly bytes: Buffer; readonly call: OpenCall };

/** Judges calls and follows them to their end. Both transports ask it for each message. */
export interface Ledger {
  /** @param signal aborted when the client is gone. Never rejects. */
  judge(message: Message, origin: Origin, signal: AbortSignal): Promise<Judgement>;
  /** Another message of the client: a cancellation, a poll of a task. Whether its answer has to be read (`sawAnswer`). */
  sawRequest(message: Message, origin: Origin): boolean;
  /** The answer to such a request, or a notification of a stream that may end a call. It changes nothing. */
  sawAnswer(request: Message | null, answer: Message, origin: Origin): void;
  /** A resumed stream of a session opens (legacy). Call the result when it closes. */
  resumed(origin: Origin): () => void;
  /** Calls that have not ended, for tests and the console. */
  readonly size: number;
  /** Ends what is open as failed, and waits for what is being settled. */
  close(): Promise<void>;
}

/** What a signed text is: the id of a session at one server, or at several; the state of a call. */
export type SealPurpose = "session" | "sessions" | "state";

/** Signs texts that travel through clients. */
export interface Seal {
  /** @param boundTo what must be the same when it is opened */
  seal(purpose: SealPurpose, content: string, boundTo: readonly (string | null)[]): string;
  /** `null`: not ours, changed, or bound to others. */
  open(
    purpose: SealPurpose,
    token: string,
    boundTo: readonly (string | null)[],
  ): { readonly content: string; readonly ageMs: number } | null;
}
