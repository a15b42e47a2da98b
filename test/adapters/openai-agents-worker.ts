// One of the processes of openai-agents.test.ts: an agent whose model runs away.

import { Agent, run, setTracingDisabled, tool } from "@openai/agents";
import { openaiAgentsGuard } from "tollgate/adapters/openai-agents";
import { z } from "zod";
import { mark, PARALLEL, serveAgent } from "./agents.ts";
import { runawayModel } from "./openai-agents-model.ts";

setTracingDisabled(true);

serveAgent(async (limiter, { way, session, marks }) => {
  const { model, read } = runawayModel(way.includes("parallel") ? PARALLEL : 1);
  const guard = openaiAgentsGuard(limiter, { dimensions: (context: { session: string }) => context });
  const search = tool({
    name: "search",
    description: "Searches.",
    parameters: z.object({ query: z.string() }),
    execute: () => {
      mark(marks);
      return "a hit";
    },
  });
  const agent = new Agent<{ session: string }>({ name: "finder", model, tools: guard.tools([search]) });
  const options = { context: { session }, maxTurns: 100 };
  if (!way.includes("stream")) {
    const { finalOutput = "" } = await run(agent, "Find it.", options);
    return { answer: finalOutput, results: [...read] };
  }
  const streamed = await run(agent, "Find it.", { ...options, stream: true });
  await streamed.completed;
  return { answer: streamed.finalOutput ?? "", results: [...read] };
});
