// A runaway model for the OpenAI Agents SDK: it makes the same call again for as long as it has tools, and answers when it
// has none.

import { type ModelRequest, Usage } from "@openai/agents";
import { assistantMessage, functionCall, modelResponder, ScriptedModel } from "@openai/agents-core/testing";

export const ANSWER = "That is all I found.";

/** What each call of the model takes. */
export const TOKENS = { input: 10, output: 5 };

/** Every run has the same ids. Within one they differ: the SDK runs equal calls of one id once. */
export function runawayModel(calls = 1, idOf = (call: number) => `call_${call}`) {
  const read: string[] = [];
  const usage = () => new Usage({ requests: 1, inputTokens: TOKENS.input, outputTokens: TOKENS.output });
  const step = modelResponder(({ request, index }) => {
    read.splice(0, read.length, ...textsIn(request));
    const call = (_: unknown, i: number) =>
      functionCall("search", { query: "again" }, { callId: idOf(index * calls + i) });
    const output = request.tools.length > 0 ? Array.from({ length: calls }, call) : [assistantMessage(ANSWER)];
    return { output, usage: usage() };
  });
  const model = new ScriptedModel(Array.from({ length: 100 }, () => step));
  /** What the model has read as results of its calls, when it was last asked. */
  return { model, read };
}

/** The texts in the results of a model's calls. */
export function textsIn({ input }: Pick<ModelRequest, "input">): string[] {
  if (typeof input === "string") return [];
  return input.flatMap((item) => {
    if (item.type !== "function_call_result") return [];
    const { output } = item;
    return [typeof output === "object" && "text" in output ? output.text : JSON.stringify(output)];
  });
}
