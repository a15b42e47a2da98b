// The merged address: all servers as one, whose tools are named after them. Each request becomes ordinary requests of the servers.

import type { Message, Reply } from "../contract.ts";
import { lostReply } from "../calls/answers.ts";
import { callTool } from "../http/call.ts";
import { HttpRefusal } from "../http/exchange.ts";
import { LISTEN, pass, TOOLS_LIST } from "../http/pass.ts";
import { TOOLS_CALL, textOf } from "../message.ts";
import { errorReply, jsonReply, Refusal, RPC } from "../refusal.ts";
import { absentWords, asRequest } from "./ask.ts";
import { type MergedAsked, mergedAskedOf, type MergedRoom } from "./asked.ts";
import { discover, initialize } from "./begin.ts";
import { Lists } from "./lists.ts";
import { dividedId, dividedName } from "./names.ts";
import { callOf, progressOf, withOwnId } from "./rewritten.ts";
import { joinStreams, listen } from "./streams.ts";
import { tellAll } from "./tell.ts";

const TOOLS_ONLY = "This address has tools only; use /mcp/<server>.";
const NOTED: Reply = { status: 202, headers: {}, body: Buffer.alloc(0) };

export class MergedAddress {
  readonly #room: MergedRoom;
  readonly #lists: Lists;

  constructor(room: MergedRoom) {
    this.#room = room;
    this.#lists = new Lists(room);
  }

  /** @param message `null`: a GET or a DELETE. @throws Refusal */
  async answer(asking: Pick<MergedAsked, "exchange" | "principal">, message: Message | null): Promise<void> {
    const merged = mergedAskedOf(asking, message, this.#room);
    if (message === null) return this.#answerBare(merged);
    if (message.kind === "request") return this.#answerRequest(merged, message);
    if (message.kind === "response") return this.#passAnswer(merged, message);
    await this.#tell(merged, message);
    merged.exchange.reply(NOTED);
  }

  /** Progress is for the server that has asked for it. */
  async #tell(merged: MergedAsked, message: Message): Promise<void> {
    const token = progressOf(message);
    const asking = merged.upstreams.filter(({ config }) => config.name === token?.server);
    if (token === null || asking.length === 0) await tellAll(merged, merged.upstreams, message, this.#room);
    else await tellAll(merged, asking, withOwnId(message, "params.progressToken", token.own), this.#room);
  }

  async #answerBare(merged: MergedAsked): Promise<void> {
    const { exchange, upstreams } = merged;
    if (exchange.request.method === "GET") return joinStreams(merged, this.#room);
    const statuses = await tellAll(merged, upstreams, null, this.#room);
    const refuse = statuses.length > 0 && statuses.every((status) => status === 405);
    exchange.reply({ ...NOTED, status: refuse ? 405 : 200 });
  }

  async #answerRequest(merged: MergedAsked, message: Message): Promise<void> {
    const room = this.#room;
    const { exchange, era, session, upstreams } = merged;
    const { rawId, method } = message;
    if (method === TOOLS_CALL) return this.#call(merged, message);
    if (method === TOOLS_LIST) return this.#lists.answer(merged, message);
    if (era === "modern") {
      if (method === "server/discover") return discover(merged, message, room);
      if (method === LISTEN) return listen(merged, message, room);
      return exchange.reply(errorReply(rawId, RPC.methodNotFound, TOOLS_ONLY, 404));
    }
    if (method === "initialize") return initialize(merged, message, room);
    if (method === "logging/setLevel") {
      const logging = upstreams.filter(({ config }) => session?.members.get(config.name)?.hasLogging ?? true);
      await tellAll(merged, logging, message, room);
    } else if (method !== "ping") return exchange.reply(errorReply(rawId, RPC.methodNotFound, TOOLS_ONLY));
    exchange.reply(jsonReply(`{"jsonrpc":"2.0","id":${rawId},"result":{}}`));
  }

  /** To the server that has asked, with the id as it wrote it. */
  async #passAnswer(merged: MergedAsked, message: Message): Promise<void> {
    const id = dividedId(message.rawId ?? "");
    const upstream = merged.upstreams.find(({ config }) => config.name === id?.server);
    if (id === null || upstream === undefined) {
      throw new Refusal(RPC.invalidRequest, "No server has asked for this answer: its id has no name of a server.");
    }
    await pass(asRequest(merged, upstream, withOwnId(message, "id", id.own), merged.exchange.gone), this.#room);
  }

  async #call(merged: MergedAsked, message: Message): Promise<void> {
    const { exchange } = merged;
    const name = textOf(message, "params.name") ?? "";
    const tool = dividedName(name);
    const upstream = this.#room.upstreams.get(tool?.server ?? "");
    if (tool === null || upstream === undefined) {
      return exchange.reply(errorReply(message.rawId, RPC.invalidParams, `Unknown tool: ${name.slice(0, 200)}`));
    }
    const own = callOf(message, tool.own);
    const asked = asRequest(merged, upstream, own, exchange.gone);
    if (!merged.upstreams.includes(upstream)) {
      return exchange.reply(lostReply(own, asked.origin, absentWords(tool.server)));
    }
    try {
      await callTool(asked, this.#room);
    } catch (error) {
      // The model can go on with other servers.
      const isOfServer = error instanceof HttpRefusal && error.status === 502;
      if (!isOfServer || exchange.gone.aborted) throw error;
      exchange.reply(lostReply(own, asked.origin, error.message));
    }
  }
}
