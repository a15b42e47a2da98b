// One of the processes of ai-sdk.test.ts: a runaway model that repeats its calls for ever, as long as it has tools.

import { setTimeout as sleep } from "node:timers/promises";
import * as seven from "ai";
import { MockLanguageModelV4, simulateReadableStream } from "ai/test";
import * as six from "ai6";
import { MockLanguageModelV3 } from "ai6/test";
import { aiSdkGuard } from "tollgate/adapters/ai-sdk";
import { z } from "zod";
import { type AgentRun, mark, PARALLEL, serveAgent } from "./agents.ts";

const USAGE = {
  inputTokens: { total: 10, noCache: 10, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 5, text: 5, reasoning: 0 },
};

/** What the model says: the same call again, with the same id, or an answer when it has no tools. */
function answerTo({ tools }: { readonly tools?: readonly unknown[] | undefined }, calls: number) {
  const call = { type: "tool-call", toolCallId: "call_1", toolName: "search", input: '{"query":"again"}' } as const;
  return tools?.length
    ? { usage: USAGE, warnings: [], finishReason: { unified: "tool-calls", raw: "" } as const, content: Array.from({ length: calls }, () => call) }
    : { usage: USAGE, warnings: [], finishReason: { unified: "stop", raw: "" } as const, content: [{ type: "text", text: "That is all I found." } as const] };
}
