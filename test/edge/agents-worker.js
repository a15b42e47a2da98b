// A Worker with the agents of docs/cloudflare.md, whose model searches for as long as it may. It needs the packages `agents`,
// `@cloudflare/ai-chat` and `ai`: agents.test.ts says where they are.

import { getAgentByName } from "agents";
import { simulateReadableStream, tool } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { z } from "zod";
import { Assistant, Researcher } from "./page.js";

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 },
};

function answerOf(part) {
  const isCall = part.type === "tool-call";
  const finish = { type: "finish", finishReason: { unified: isCall ? "tool-calls" : "stop", raw: undefined }, usage };
  const text = [
    { type: "text-start", id: "1" },
    { type: "text-delta", id: "1", delta: part.text },
    { type: "text-end", id: "1" },
  ];
  const chunks = [{ type: "stream-start", warnings: [] }, ...(isCall ? [part] : text), finish];
  return { stream: simulateReadableStream({ chunks, chunkDelayInMs: null, initialDelayInMs: null }) };
}

/** It numbers its calls from the start in each turn, as some models do. */
export const model = new MockLanguageModelV4({
  doStream: async ({ tools, prompt }) => {
    const turn = prompt.slice(prompt.findLastIndex(({ role }) => role === "user"));
    const results = turn.filter(({ role }) => role === "tool").flatMap(({ content }) => content);
    if (!tools?.length || JSON.stringify(turn).includes("Limit reached")) return answerOf({ text: "That is all." });
    const n = results.length;
    const input = JSON.stringify({ q: `q${n}` });
    return answerOf({ type: "tool-call", toolCallId: `call_${n}`, toolName: "search", input });
  },
});

/** What the tool of the agent that runs does. */
let search = async () => "a hit";
export const tools = {
  search: { ...tool({ inputSchema: z.object({ q: z.string() }), execute: ({ q }) => search(q) }), recovery: "rerun" },
};

const evict = ({ ctx }) => ctx.abort("evicted");

export class TestAssistant extends Assistant {
  async ask(text) {
    let ran = 0;
    search = async () => {
      ran++;
      return "a hit";
    };
    await this.saveMessages((before) => [
      ...before,
      { id: crypto.randomUUID(), role: "user", parts: [{ type: "text", text }] },
    ]);
    return ran;
  }

  evict() {
    evict(this);
  }
}

export class TestResearcher extends Researcher {
  /** Begins a turn in which the object is evicted while the tool runs for the first time with this input. */
  async begin(evictedAt) {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS ran (q TEXT)");
    await this.ctx.storage.put("evictedAt", evictedAt);
    return (await this.harness.submit("Find it.")).operationId;
  }

  constructor(ctx, env) {
    super(ctx, env);
    search = async (q) => {
      const { sql } = ctx.storage;
      const isFirst = [...sql.exec("SELECT 1 FROM ran WHERE q = ?", q)].length === 0;
      sql.exec("INSERT INTO ran VALUES (?)", q);
      await ctx.storage.sync();
      if (isFirst && q === (await ctx.storage.get("evictedAt"))) {
        evict(this);
        await new Promise(() => {});
      }
      return "a hit";
    };
  }

  async state(operationId) {
    const ran = [...this.ctx.storage.sql.exec("SELECT q FROM ran")].map(({ q }) => q);
    const usages = await this.limiter.usage({ session: "root", turn: operationId, tool: "search" });
    const messages = JSON.stringify(await this.harness.session().messages());
    const { status } = await this.harness.session().inspect(operationId);
    return { status, ran, used: usages.map(({ used }) => used), messages };
  }
}

// biome-ignore lint/style/noDefaultExport: the runtime wants it
export default {
  async fetch(request, env) {
    const { agent, method, args = [] } = await request.json();
    try {
      const stub =
        agent === "TestAssistant"
          ? await getAgentByName(env.TestAssistant, "a1")
          : env.TestResearcher.get(env.TestResearcher.idFromName("r1"));
      return Response.json((await stub[method](...args)) ?? null);
    } catch (error) {
      return new Response(String(error?.stack ?? error), { status: 500 });
    }
  },
};
