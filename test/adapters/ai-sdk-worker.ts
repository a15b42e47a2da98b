// One of the processes of ai-sdk.test.ts: an agent whose model runs away.

import * as seven from "ai";
import * as six from "ai6";
import { aiSdkGuard } from "tollgate/adapters/ai-sdk";
import { z } from "zod";
import { mark, PARALLEL, serveAgent } from "./agents.ts";
import { runawayModel } from "./ai-sdk-model.ts";

serveAgent(async (limiter, { way, session, marks }) => {
  const version = way.includes("6") ? 6 : 7;
  const { generateText, streamText, stepCountIs, tool } = (version === 6 ? six : seven) as typeof seven;
  const { model, read } = runawayModel(version, way.includes("parallel") ? PARALLEL : 1);
  const guard = aiSdkGuard(limiter.for({ session }));
  const inputSchema = z.object({ query: z.string() });
  const search = tool({
    inputSchema,
    execute: () => {
      mark(marks);
      return "a hit";
    },
  });
  const generator = tool({
    inputSchema,
    async *execute() {
      yield "looking";
      mark(marks);
      yield "a hit";
    },
  });
  const asked = {
    model: model as seven.LanguageModel,
    prompt: "Find it.",
    stopWhen: stepCountIs(100),
    tools: guard.tools({ search: way.includes("generator") ? generator : search }),
    prepareStep: guard.prepareStep,
  };
  const answer = way.includes("stream") ? await streamText(asked).text : (await generateText(asked)).text;
  return { answer, results: [...read] };
});
