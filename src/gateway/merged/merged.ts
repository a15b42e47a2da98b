// The merged address: all servers as one, whose tools are named after them. Each request becomes ordinary requests of the servers.

import type { Message } from "../contract.ts";
import { lostReply } from "../calls/answers.ts";
import { callTool } from "../http/call.ts";
import { HttpRefusal } from "../http/exchange.ts";
import { TOOLS_LIST } from "../http/pass.ts";
import { splice } from "../json/splice.ts";
import { readMessage, TOOLS_CALL, textOf } from "../message.ts";
import { errorReply, RPC } from "../refusal.ts";
import { absentWords, asRequest } from "./ask.ts";
import { type MergedAsked, mergedAskedOf, type MergedRoom } from "./asked.ts";
import { Lists } from "./lists.ts";
import { dividedName } from "./names.ts";

const TOOLS_ONLY = "This address has tools only; use /mcp/<server>.";

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
    if (message === null) throw new HttpRefusal(405, RPC.invalidRequest, TOOLS_ONLY);
    if (message.kind === "request") return this.#answerRequest(merged, message);
    throw new HttpRefusal(405, RPC.invalidRequest, TOOLS_ONLY, message.rawId);
  }

  async #answerRequest(merged: MergedAsked, message: Message): Promise<void> {
    if (message.method === TOOLS_CALL) return this.#call(merged, message);
    if (message.method === TOOLS_LIST) return this.#lists.answer(merged, message);
    const status = merged.era === "modern" ? 404 : 200;
    merged.exchange.reply(errorReply(message.rawId, RPC.methodNotFound, TOOLS_ONLY, status));
  }

  async #call(merged: MergedAsked, message: Message): Promise<void> {
    const { exchange } = merged;
    const name = textOf(message, "params.name") ?? "";
    const tool = dividedName(name);
    const upstream = this.#room.upstreams.get(tool?.server ?? "");
    const span = message.spans.get("params.name");
    if (tool === null || upstream === undefined || span === undefined) {
      return exchange.reply(errorReply(message.rawId, RPC.invalidParams, `Unknown tool: ${name.slice(0, 200)}`));
    }
    const own = readMessage(splice(message.bytes, [{ at: span, text: JSON.stringify(tool.own) }]), "client");
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
