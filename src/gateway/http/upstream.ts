// Requests to one server. Each is sent once: a server may have run what it did not answer. What they say is not known here.

import { Agent, type ClientRequest, type IncomingMessage, request as plainRequest } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import type { Socket } from "node:net";
import { inBackground } from "../../clock.ts";
import { invalidOption } from "../../kernel/errors.ts";
import type { GatewayLog, Registry, ServerConfig } from "../config/config.ts";
import { RPC } from "../refusal.ts";
import { HttpRefusal } from "./exchange.ts";

export interface UpstreamRequest {
  readonly method: string;
  readonly headers: readonly string[];
  readonly body: Buffer | null;
  /** Aborted: the client is gone, and the request is closed in the same tick. */
  readonly gone: AbortSignal;
  /** The request that an error answers. */
  readonly rawId: string | null;
}

/** Without an underscore, so that `<server>_<tool>` is the tool of one server only. */
const NAME = /^[a-z0-9-]{1,20}$/;
/** How long a connection without a request is kept. Servers close theirs after 5 s or more, and a request could meet that. */
const IDLE_MS = 4_000;
/** After so long without bytes TCP asks whether the other side is there. */
export const PROBE_MS = 30_000;

export class Upstream {
  readonly config: ServerConfig;
  readonly #agent: Agent;
  readonly #registry: Pick<Registry, "sawServer">;
  readonly #log: GatewayLog;
  #isDown = false;
  /** Calls that are judged, or have no answer yet. */
  calls = 0;

  /** @throws MisuseError `invalid-option` */
  constructor(config: ServerConfig, registry: Pick<Registry, "sawServer">, log: GatewayLog) {
    checkServer(config);
    this.config = config;
    this.#registry = registry;
    this.#log = log;
    const options = { keepAlive: true, keepAliveMsecs: PROBE_MS, timeout: IDLE_MS };
    this.#agent = isTls(config.url) ? new TlsAgent(options) : new Agent(options);
  }

  /**
   * Resolves with the head of the answer.
   *
   * @throws HttpRefusal 502 where there is none, or one that no client may follow
   */
  async send(request: UpstreamRequest): Promise<IncomingMessage> {
    const answer = await this.#send(request).catch((error) => this.#fail(error, request.rawId));
    const reason = this.#unusable(answer);
    this.#saw(reason);
    if (reason === null) return answer;
    answer.destroy();
    throw this.#refusal(reason, request.rawId);
  }

  /** Ends the connections that no request uses. */
  close(): void {
    this.#agent.destroy();
  }

  #send({ method, headers, body, gone }: UpstreamRequest): Promise<IncomingMessage> {
    const { url, connectMs } = this.config;
    const send = isTls(url) ? tlsRequest : plainRequest;
    return new Promise((resolve, reject) => {
      const request = send({ ...addressOf(url), agent: this.#agent, method, headers: [...headers] });
      const abort = () => void request.destroy();
      gone.addEventListener("abort", abort, { once: true });
      if (gone.aborted) abort();
      request.on("socket", (socket) => limitConnecting(request, socket, connectMs));
      let isAnswered = false;
      request.on("response", (answer) => {
        isAnswered = true;
        resolve(answer);
      });
      let failure: NodeJS.ErrnoException | undefined;
      request.on("error", (error) => {
        failure ??= error;
      });
      request.on("close", () => {
        gone.removeEventListener("abort", abort);
        // The answer's own stream says how it ended.
        if (!isAnswered) reject(gone.aborted ? gone.reason : new NoAnswerError(wordsOf(failure)));
      });
      request.end(body ?? undefined);
    });
  }

  #fail(error: unknown, rawId: string | null): never {
    if (!(error instanceof NoAnswerError)) throw error;
    this.#saw(error.message);
    throw this.#refusal(error.message, rawId);
  }

  #refusal(reason: string, rawId: string | null): HttpRefusal {
    return new HttpRefusal(502, RPC.serverFailed, `The server "${this.config.name}" ${reason}`, rawId);
  }

  /** Why an answer does not pass; `null`: it does. */
  #unusable({ statusCode = 0 }: IncomingMessage): string | null {
    if (statusCode >= 300 && statusCode < 400) {
      return `names another address (status ${statusCode}). Write that one in its url.`;
    }
    if (statusCode !== 401 || this.config.credentials === "forward") return null;
    return `refuses the gateway's credential (status ${statusCode}).`;
  }

  #saw(reason: string | null): void {
    const { name } = this.config;
    this.#registry.sawServer(name, reason);
    if (reason !== null && !this.#isDown) this.#log.error({ server: name, reason }, "a server does not answer");
    this.#isDown = reason !== null;
  }
}

/** Thrown where a server gave no answer. Its message has no word of the client's in it. */
class NoAnswerError extends Error {}

function checkServer({ name, url }: ServerConfig): void {
  if (!NAME.test(name)) throw invalidOption("servers", "names of a-z, 0-9 and -, at most 20 characters each", name);
  const isHttp = url.protocol === "http:" || url.protocol === "https:";
  if (isHttp && url.username === "" && url.password === "") return;
  const expected = "an http or https address without a password; write that in credentials";
  throw invalidOption(`servers.${name}.url`, expected, `${url.protocol}//${url.host}${url.pathname}`);
}

function isTls(url: URL): boolean {
  return url.protocol === "https:";
}

function addressOf({ hostname, port, pathname, search }: URL) {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  return { host, path: `${pathname}${search}`, ...(port === "" ? {} : { port }) };
}

/** A connection that cannot be opened must not wait for the client's patience. */
function limitConnecting(request: ClientRequest, socket: Socket, ms: number): void {
  if (!socket.connecting) return;
  const late = () => void request.destroy(Object.assign(new Error(), { code: "ETIMEDOUT" }));
  const timer = inBackground(ms, late);
  socket.once("encrypted" in socket ? "secureConnect" : "connect", () => timer.cancel());
  request.once("close", () => timer.cancel());
}

/** @param error absent: the connection ended without one */
function wordsOf({ code = "no answer" }: Partial<NodeJS.ErrnoException> = {}): string {
  const isOpen = ["ECONNRESET", "EPIPE", "no answer"].includes(code);
  return isOpen ? `closed the connection before it answered (${code}).` : `cannot be reached (${code}).`;
}
