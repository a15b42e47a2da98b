// Both directions between a client and its server: each line is read, calls are judged, and the rest passes as it came. Where the
// streams come from, and what happens at their ends, is not known here.

import type { Readable, Writable } from "node:stream";
import type { GatewayLog } from "../config/config.ts";
import type { Era, Ledger, Message, OpenCall, Origin } from "../contract.ts";
import { LineSplitter } from "../lines.ts";
import { readMessage, TOOLS_CALL } from "../message.ts";
import { errorReply, RPC, Refusal } from "../refusal.ts";
import { Inlet, Outlet } from "./flow.ts";
import { Garbage } from "./garbage.ts";
import { InFlight, type Pending } from "./in-flight.ts";

/** A client's and a server's side. */
export interface PipeStreams {
  readonly clientIn: Readable;
  readonly clientOut: Writable;
  readonly serverIn: Writable;
  readonly serverOut: Readable;
}

export interface PipeOptions {
  readonly ledger: Ledger;
  readonly log: GatewayLog;
  readonly maxMessageBytes: number;
  /** The server wrote a line over the bound: its requests were answered, and it has to be ended. */
  onServerTooLong(): void;
}

/** Calls that run at the same time. */
const MOST_CALLS = 1_000;
/** Bytes of the gateway's own answers that wait for the client: then it is not read. */
const MOST_OWN_BYTES = 1_048_576;

const NO_PRINCIPAL = { user: null, tenant: null, claims: {} };

export class Pipe {
  readonly #options: PipeOptions;
  readonly #client: Inlet;
  readonly #server: Inlet;
  readonly #toClient: Outlet;
  readonly #toServer: Outlet;
  readonly #inFlight = new InFlight();
  readonly #garbage: Garbage;
  /** What is being judged, or settled before it is answered. */
  readonly #working = new Set<Promise<void>>();
  #era: Era = "modern";
  #calls = 0;
  #ownBytes = 0;
  #judgedBytes = 0;

  constructor({ clientIn, clientOut, serverIn, serverOut }: PipeStreams, options: PipeOptions) {
    this.#options = options;
    this.#garbage = new Garbage(options.log);
    this.#client = new Inlet(clientIn);
    this.#server = new Inlet(serverOut);
    this.#toClient = new Outlet(clientOut);
    this.#toServer = new Outlet(serverIn);
    const { maxMessageBytes } = options;
    const ofClient = new LineSplitter(maxMessageBytes, {
      onLine: (line) => this.#onClientLine(line),
      onTooLong: () => this.#refuse(tooLong(maxMessageBytes)),
    });
    const ofServer = new LineSplitter(maxMessageBytes, {
      onLine: (line) => this.#onServerLine(line),
      onTooLong: () => this.#onServerTooLong(),
    });
    clientIn.on("data", (chunk: Buffer) => ofClient.push(chunk)).on("end", () => ofClient.end());
    serverOut.on("data", (chunk: Buffer) => ofServer.push(chunk)).on("end", () => ofServer.end());
  }

  /** Requests that have no answer yet. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Resolves when nothing is being judged or settled. */
  async idle(): Promise<void> {
    while (this.#working.size > 0) await Promise.all(this.#working);
  }

  /** The server reads its end. */
  endServer(): void {
    this.#toServer.end();
  }

  /** Answers every request that is in flight: the server will not. */
  fail(why: "server-gone" | "too-large" | "client-gone", message: string | null): void {
    for (const pending of this.#inFlight.takeAll()) {
      this.#lose(pending, why);
      if (message !== null) this.#answer(errorReply(pending.rawId, RPC.serverFailed, message).body);
    }
    this.#garbage.flush();
  }

  #onClientLine(line: Buffer): void {
    const message = this.#read(line);
    if (message === null) return;
    if (message.method === "initialize") this.#era = "legacy";
    if (message.method === TOOLS_CALL) this.#onCall(message);
    else this.#pass(message);
  }

  #pass(message: Message): void {
    if (message.method === "notifications/cancelled") this.#cancel(message);
    const isWatched = this.#options.ledger.sawRequest(message, this.#origin());
    if (message.kind === "request" && message.rawId !== null && this.#inFlight.size < 2 * MOST_CALLS) {
      this.#inFlight.add({ rawId: message.rawId, watched: isWatched ? message : null, abort: null, call: null });
    }
    this.#toServer.write(message.bytes, this.#client);
  }

  #read(line: Buffer): Message | null {
    try {
      return readMessage(line, "client");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#refuse(error);
      return null;
    }
  }

  #onCall(message: Message): void {
    const { rawId } = message;
    if (rawId === null) return;
    if (this.#calls >= MOST_CALLS) {
      this.#refuse(new Refusal(RPC.busy, "Too many calls are running. Wait for their answers.", rawId));
      return;
    }
    const pending = { rawId, watched: null, abort: new AbortController(), call: null };
    this.#inFlight.add(pending);
    this.#calls++;
    this.#hasJudged(message.bytes.length);
    this.#work(this.#judge(message, pending));
  }

  async #judge(message: Message, pending: Pending & { readonly abort: AbortController }): Promise<void> {
    const judgement = await this.#options.ledger.judge(message, this.#origin(), pending.abort.signal);
    this.#hasJudged(-message.bytes.length);
    const isGone = pending.abort.signal.aborted;
    if (judgement.is === "answer") {
      if (isGone || !this.#inFlight.remove(pending)) return;
      this.#calls--;
      this.#answer(judgement.reply.body);
    } else if (isGone) await judgement.call.lost("cancelled");
    else {
      pending.call = judgement.call;
      this.#toServer.write(judgement.bytes, this.#client);
    }
  }

  /** The request that is not wanted any more has no answer. */
  #cancel({ bytes, spans }: Message): void {
    const span = spans.get("params.requestId");
    const pending =
      span === undefined ? null : this.#inFlight.take(bytes.toString("utf8", span.from, span.to), () => true);
    if (pending !== null) this.#lose(pending, "cancelled");
  }

  #lose(pending: Pending, why: Parameters<OpenCall["lost"]>[0]): void {
    pending.abort?.abort();
    if (pending.abort !== null) this.#calls--;
    if (pending.call !== null) this.#work(pending.call.lost(why));
  }

  #onServerLine(line: Buffer): void {
    const message = readAnswer(line);
    if (message === null) this.#garbage.add(line);
    else if (message.kind === "response") this.#onResponse(message);
    else {
      if (message.kind === "notification") this.#options.ledger.sawAnswer(null, message, this.#origin());
      this.#toClient.write(line, this.#server);
    }
  }

  #onResponse(response: Message): void {
    const pending = response.rawId === null ? null : this.#inFlight.take(response.rawId, isAtServer);
    if (pending?.abort) this.#calls--;
    if (pending?.watched) this.#options.ledger.sawAnswer(pending.watched, response, this.#origin());
    if (pending?.call) this.#work(this.#end(pending.call, response));
    else this.#toClient.write(response.bytes, this.#server);
  }

  async #end(call: OpenCall, answer: Message): Promise<void> {
    this.#toClient.write(await call.answered(answer), this.#server);
  }

  #onServerTooLong(): void {
    const mebibytes = Math.round(this.#options.maxMessageBytes / 1_048_576);
    const text = `The server wrote a message of more than ${mebibytes} MiB, so its answers cannot be read`;
    this.fail("too-large", `${text}.`);
    this.#options.log.error({}, `the server wrote a message of more than ${mebibytes} MiB`);
    this.#options.onServerTooLong();
  }

  #refuse({ rawId, code, message }: Refusal): void {
    this.#answer(errorReply(rawId, code, message).body);
  }

  /** The gateway's own answer: a client that reads none of them is not read. */
  #answer(body: Buffer): void {
    this.#ownBytes += body.length;
    if (this.#ownBytes > MOST_OWN_BYTES) this.#client.hold(this.#toClient);
    this.#toClient.write(body, this.#server, () => {
      this.#ownBytes -= body.length;
      if (this.#ownBytes <= MOST_OWN_BYTES) this.#client.release(this.#toClient);
    });
  }

  /** Calls that wait to be judged are in memory. */
  #hasJudged(bytes: number): void {
    this.#judgedBytes += bytes;
    if (this.#judgedBytes > this.#options.maxMessageBytes) this.#client.hold(this.#inFlight);
    else this.#client.release(this.#inFlight);
  }

  #work(work: Promise<void>): void {
    this.#working.add(work);
    void work.finally(() => this.#working.delete(work));
  }

  #origin(): Origin {
    return {
      transport: "stdio",
      era: this.#era,
      server: "server",
      scope: "process",
      session: null,
      principal: NO_PRINCIPAL,
      header: () => undefined,
    };
  }
}

/** `null`: it is no message. */
function readAnswer(line: Buffer): Message | null {
  try {
    return readMessage(line, "server");
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}

/** Whether the server can know of it: a call that is being judged has no answer yet. */
function isAtServer({ abort, call }: Pending): boolean {
  return abort === null || call !== null;
}

function tooLong(maxBytes: number): Refusal {
  return new Refusal(RPC.invalidRequest, `The message is longer than ${Math.round(maxBytes / 1_048_576)} MiB.`);
}
