// A runaway model for both versions of the AI SDK: it makes the same call again, with the same id, for as long as it has
// tools, and answers when it has none.

import { MockLanguageModelV4 } from "ai/test";
import { MockLanguageModelV3 } from "ai6/test";

const USAGE = {
  inputTokens: { total: 10, noCache: 10, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 5, text: 5, reasoning: 0 },
};
export const ANSWER = "That is all I found.";

/** What the model is given. */
interface Asked {
  readonly tools?: readonly unknown[] | undefined;
  readonly prompt: readonly { readonly role: string; readonly content: unknown }[];
}

/** Parallel calls have ids of their own: both versions want that within one step. */
function contentFor({ tools }: Asked, calls: number) {
  if (!tools?.length) return [{ type: "text" as const, text: ANSWER }];
  return Array.from({ length: calls }, (_, i) => ({
    type: "tool-call" as const,
    toolCallId: `call_${i}`,
    toolName: "search",
    input: '{"query":"again"}',
  }));
}

function finishOf({ tools }: Asked) {
  return { unified: tools?.length ? ("tool-calls" as const) : ("stop" as const), raw: undefined };
}

/** The model's answer in the parts of a stream. */
export function partsOf(content: readonly object[], finishReason: object): object[] {
  const parts = content.flatMap((each) =>
    "text" in each
      ? [
          { type: "text-start", id: "t" },
          { type: "text-delta", id: "t", delta: each.text },
          { type: "text-end", id: "t" },
        ]
      : [each],
  );
  return [{ type: "stream-start", warnings: [] }, ...parts, { type: "finish", finishReason, usage: USAGE }];
}

export function runawayModel(version: 6 | 7, calls = 1) {
  const read: string[] = [];
  const note = ({ prompt }: Asked) => {
    read.length = 0;
    for (const { role, content } of prompt) if (role === "tool") read.push(...textsIn(content));
  };
  const options = {
    doGenerate: async (asked: Asked) => {
      note(asked);
      return { content: contentFor(asked, calls), finishReason: finishOf(asked), usage: USAGE, warnings: [] };
    },
    doStream: async (asked: Asked) => {
      note(asked);
      const parts = partsOf(contentFor(asked, calls), finishOf(asked));
      return { stream: ReadableStream.from(parts) };
    },
  };
  const model = version === 7 ? new MockLanguageModelV4(options as never) : new MockLanguageModelV3(options as never);
  /** What the model has read as results of its calls, when it was last asked. */
  return { model, read };
}

/** The texts in a tool message's results. */
function textsIn(content: unknown): string[] {
  return (content as { output: { value: unknown } }[]).map(({ output }) =>
    typeof output.value === "string" ? output.value : JSON.stringify(output.value),
  );
}
