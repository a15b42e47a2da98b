// Agents whose model makes the same call again and again until it reads that a limit is reached: of three SDKs, each with its own way
// to tools of MCP servers, and without a model of a provider.

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import { createMCPClient } from "@ai-sdk/mcp";
import { Experimental_StdioMCPTransport } from "@ai-sdk/mcp/mcp-stdio";
import { Agent, MCPServerStdio, MCPServerStreamableHttp, run, Usage } from "@openai/agents";
import { assistantMessage, functionCall, modelResponder, ScriptedModel } from "@openai/agents-core/testing";
import { generateText, stepCountIs } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import { temporaryFolder } from "../temporary.ts";

/** How an agent reaches the server. */
export type Way =
  | { readonly command: string; readonly args: readonly string[]; readonly cwd: string }
  | { readonly url: string };

/** The call that the model makes again and again. */
export interface Wanted {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
}

export interface Told {
  /** What the model read as results of its calls. */
  readonly read: readonly string[];
  readonly answer: string;
}

type RunAgent = (way: Way, wanted: Wanted) => Promise<Told>;

export const ANSWER = "That is all I found.";
/** Calls of a model that reads no denial. */
const MOST_CALLS = 10;
const LIMIT_REACHED = /Limit reached/;

function isDone(read: readonly string[]): boolean {
  return read.length >= MOST_CALLS || LIMIT_REACHED.test(read.at(-1) ?? "");
}

export const aiSdk: RunAgent = async (way, wanted) => {
  const transport =
    "url" in way
      ? { type: "http" as const, url: way.url }
      : new Experimental_StdioMCPTransport({ ...way, args: [...way.args] });
  const client = await createMCPClient({ transport });
  const read: string[] = [];
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  };
  const model = new MockLanguageModelV4({
    doGenerate: async ({ prompt }) => {
      const results = prompt.flatMap(({ role, content }) => (role === "tool" ? content : []));
      read.splice(
        0,
        read.length,
        ...results.map((result) => JSON.stringify("output" in result ? result.output : null)),
      );
      const call = {
        type: "tool-call" as const,
        toolCallId: `call_${read.length}`,
        toolName: wanted.tool,
        input: JSON.stringify(wanted.args),
      };
      const isLast = isDone(read);
      const finishReason = { unified: isLast ? ("stop" as const) : ("tool-calls" as const), raw: undefined };
      return { content: isLast ? [{ type: "text", text: ANSWER }] : [call], finishReason, usage, warnings: [] };
    },
  });
  try {
    const tools = await client.tools();
    const { text } = await generateText({ model, tools, prompt: "Search.", stopWhen: stepCountIs(2 * MOST_CALLS) });
    return { read, answer: text };
  } finally {
    await client.close();
  }
};

export const openaiAgents: RunAgent = async (way, wanted) => {
  const server =
    "url" in way
      ? new MCPServerStreamableHttp({ url: way.url, name: "server" })
      : new MCPServerStdio({ ...way, args: [...way.args], name: "server", clientSessionTimeoutSeconds: 60 });
  await server.connect();
  const read: string[] = [];
  const step = modelResponder(({ request }) => {
    const items = typeof request.input === "string" ? [] : request.input;
    const results = items.flatMap((item) => (item.type === "function_call_result" ? [item.output] : []));
    read.splice(0, read.length, ...results.map((result) => JSON.stringify(result)));
    const call = () => functionCall(wanted.tool, { ...wanted.args }, { callId: `call_${read.length}` });
    return { output: [isDone(read) ? assistantMessage(ANSWER) : call()], usage: new Usage() };
  });
  const model = new ScriptedModel(Array.from({ length: 2 * MOST_CALLS }, () => step));
  try {
    const agent = new Agent({ name: "finder", model, mcpServers: [server] });
    const { finalOutput } = await run(agent, "Search.", { maxTurns: 2 * MOST_CALLS });
    return { read, answer: String(finalOutput) };
  } finally {
    await server.close();
  }
};

/** Where the Claude Agent SDK is installed: with its binary it is too large for a dependency. */
export const CLAUDE_SDK = process.env.TOLLGATE_CLAUDE_AGENT_SDK;

interface ClaudeMessage {
  readonly content: string | readonly { readonly type: string; readonly content?: unknown }[];
}

export const claude: RunAgent = async (way, wanted) => {
  const { query } = await import(pathToFileURL(CLAUDE_SDK ?? "").href);
  const read: string[] = [];
  const api = createServer(async (request, response) => {
    const { messages = [] } = (await json(request).catch(() => ({}))) as {
      readonly messages?: readonly ClaudeMessage[];
    };
    const parts = messages.flatMap(({ content }) => (typeof content === "string" ? [] : content));
    const results = parts.filter(({ type }) => type === "tool_result").map(({ content }) => JSON.stringify(content));
    if (results.length > read.length) read.splice(0, read.length, ...results);
    const call = { id: `toolu_${results.length}`, name: `mcp__server__${wanted.tool}` };
    streamClaude(response, isDone(results) ? null : { ...call, args: wanted.args });
  });
  await new Promise<void>((resolve) => api.listen(0, "127.0.0.1", resolve));
  const server = "url" in way ? { type: "http", url: way.url } : { ...way, args: [...way.args] };
  const env = {
    PATH: process.env.PATH,
    HOME: temporaryFolder(),
    ANTHROPIC_BASE_URL: `http://127.0.0.1:${(api.address() as AddressInfo).port}`,
    ANTHROPIC_API_KEY: "none",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    // The program refuses to run as root otherwise.
    IS_SANDBOX: "1",
  };
  try {
    let answer = "";
    const options = {
      mcpServers: { server },
      allowedTools: [`mcp__server__${wanted.tool}`],
      tools: [],
      settingSources: [],
      maxTurns: 2 * MOST_CALLS,
      env,
    };
    for await (const message of query({ prompt: "Search.", options })) {
      if (message.type === "result") answer = message.result;
    }
    return { read, answer };
  } finally {
    api.close();
    api.closeAllConnections();
  }
};

/** Answers as the Messages API streams: a call, or the last words. */
function streamClaude(
  response: ServerResponse,
  call: { readonly id: string; readonly name: string; readonly args: unknown } | null,
): void {
  const usage = { input_tokens: 1, output_tokens: 1 };
  const block =
    call === null ? { type: "text", text: "" } : { type: "tool_use", id: call.id, name: call.name, input: {} };
  const delta =
    call === null
      ? { type: "text_delta", text: ANSWER }
      : { type: "input_json_delta", partial_json: JSON.stringify(call.args) };
  const reason = { stop_reason: call === null ? "end_turn" : "tool_use", stop_sequence: null };
  const message = { id: "msg_1", type: "message", role: "assistant", model: "m", content: [], usage };
  const events = [
    { type: "message_start", message: { ...message, stop_reason: null, stop_sequence: null } },
    { type: "content_block_start", index: 0, content_block: block },
    { type: "content_block_delta", index: 0, delta },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: reason, usage },
    { type: "message_stop" },
  ];
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.end(events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
}
