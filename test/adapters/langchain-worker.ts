// One of the processes of langchain.test.ts: an agent whose model repeats its calls for ever, as long as it has tools.

import { MemorySaver } from "@langchain/langgraph";
import { createAgent, ToolMessage, tool } from "langchain";
import { langchainGuard } from "tollgate/adapters/langchain";
import { z } from "zod";
import { mark, PARALLEL, serveAgent } from "./agents.ts";
import { RunawayModel } from "./langchain-model.ts";

serveAgent(async (limiter, { way, session, marks }) => {
  const search = tool(
    () => {
      mark(marks);
      return "a hit";
    },
    { name: "search", schema: z.object({ query: z.string() }) },
  );
  const agent = createAgent({
    model: new RunawayModel(way.includes("parallel") ? PARALLEL : 1),
    tools: [search],
    middleware: [langchainGuard(limiter)],
    checkpointer: way.includes("checkpoints") ? new MemorySaver() : false,
  });
  const { messages } = await agent.invoke(
    { messages: [{ role: "user", content: "Find it." }] },
    { configurable: { thread_id: session }, recursionLimit: 100 },
  );
  const results = messages.filter((message) => ToolMessage.isInstance(message)).map(({ text }) => text);
  return { answer: messages.at(-1)?.text ?? "", results };
});
