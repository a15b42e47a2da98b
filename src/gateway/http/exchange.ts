// One request of a client, and its answer: the client's side of an exchange. What the answer says is not known here.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Reply } from "../contract.ts";
import { errorReply, Refusal, RPC } from "../refusal.ts";

/** Names and values in turn, as `rawHeaders`. */
export type HeaderList = readonly string[];

/** A refusal with an HTTP status of its own. Others have 400. */
export class HttpRefusal extends Refusal {
  readonly status: number;

  constructor(status: number, code: number, message: string, rawId: string | null = null) {
    super(code, message, rawId);
    this.status = status;
  }
}

export class Exchange {
  readonly request: IncomingMessage;
  /** Aborted when the client closes its connection before its answer is whole. */
  readonly gone: AbortSignal;
  /** Whether it ends only when the client ends it: such a stream is not waited for when the gateway stops. */
  isLasting = false;
  /** What has come of its body. */
  bodyBytes = 0;
  /** Headers of each answer. */
  headers: HeaderList = [];
  readonly #response: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse) {
    const gone = new AbortController();
    this.request = request;
    this.gone = gone.signal;
    this.#response = response;
    // The other side is gone: `close` says so.
    request.on("error", () => {});
    response.on("error", () => {});
    response.on("close", () => {
      if (!response.writableFinished) gone.abort();
    });
  }

  get hasBegun(): boolean {
    return this.#response.headersSent;
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name.toLowerCase()];
    return Array.isArray(value) ? value.join(", ") : value;
  }

  /** Sends an answer of the gateway itself. One that comes after the head of another ends the connection. */
  reply({ status, headers, body }: Reply): void {
    if (this.hasBegun) {
      this.destroy();
      return;
    }
    const own = Object.entries(headers).flat();
    this.begin(status, [...own, "content-length", String(body.length)]);
    this.end(body);
  }

  refuse(refusal: Refusal): void {
    const status = refusal instanceof HttpRefusal ? refusal.status : 400;
    this.reply(errorReply(refusal.rawId, refusal.code, refusal.message, status));
  }

  /** Sends the head of an answer at once: its body may come much later. */
  begin(status: number, headers: HeaderList): void {
    this.#response.writeHead(status, [...headers, ...this.headers]);
    this.#response.flushHeaders();
  }

  /** Waits while the client does not read. */
  async write(bytes: Uint8Array): Promise<void> {
    const response = this.#response;
    if (response.destroyed || response.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const goOn = () => {
        response.off("drain", goOn).off("close", goOn);
        resolve();
      };
      response.on("drain", goOn).on("close", goOn);
    });
  }

  end(bytes?: Uint8Array): void {
    this.#response.end(bytes);
  }

  /** Ends the connection: the client sees that its answer is not whole. */
  destroy(): void {
    this.#response.destroy();
  }

  /** The answer is the last of its connection. */
  closeAfter(): void {
    if (!this.hasBegun) this.headers = [...this.headers, "connection", "close"];
  }
}

/**
 * The body of a request, as a whole.
 *
 * @param take called with the bytes of each part, and throws where there is no room for them
 * @throws HttpRefusal
 */
export async function readBody(exchange: Exchange, maxBytes: number, take: (bytes: number) => void): Promise<Buffer> {
  const { request } = exchange;
  const encoding = exchange.header("content-encoding") ?? "identity";
  if (encoding.toLowerCase() !== "identity") {
    throw new HttpRefusal(415, RPC.invalidRequest, "The body is compressed; send it as it is.");
  }
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(exchange.header("content-type") ?? "")?.[1] ?? "utf-8";
  if (!/^utf-?8$/i.test(charset)) throw new HttpRefusal(415, RPC.invalidRequest, "The body is not in UTF-8.");
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    take(part.length);
    parts.push(part);
    if (bytes <= maxBytes) continue;
    exchange.closeAfter();
    throw new HttpRefusal(413, RPC.invalidRequest, `The body has more than ${maxBytes} bytes.`);
  }
  return Buffer.concat(parts, bytes);
}
