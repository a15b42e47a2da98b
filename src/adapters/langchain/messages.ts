// What is made of LangChain's messages and errors.

import { AIMessage, MiddlewareError, ToolInvocationError, ToolMessage } from "langchain";
import type { BaseMessage, ToolCallRequest } from "langchain";
import type { Allowed, Denied } from "../../kernel/decision.ts";
import { fieldsOf, withNotices } from "../guard.ts";
import type { Reported } from "../model-calls.ts";

/** What the model reads of a call that was denied. */
export function deniedResult({ id = "", name }: ToolCallRequest["toolCall"], decision: Denied): ToolMessage {
  const artifact = fieldsOf(decision);
  return new ToolMessage({ tool_call_id: id, name, status: "error", content: decision.message, artifact });
}

/** What stands in for the answer of a model whose call was denied. */
export function deniedAnswer(decision: Denied): AIMessage {
  return new AIMessage({ content: decision.detail, response_metadata: { tollgate: fieldsOf(decision) } });
}

/** The result of a tool as it is, with a notice beside it: in the metadata, which no model is shown. */
export function withNotice<Result>(result: Result, { notice }: Allowed): Result {
  if (!ToolMessage.isInstance(result)) return result;
  const metadata = result.response_metadata;
  return copied(result, { response_metadata: notice === null ? metadata : { ...metadata, tollgate: { notice } } });
}

/** The messages as the model reads them. Providers that want an answer after results would refuse a message of its own. */
export function readMessages(messages: BaseMessage[]): BaseMessage[] {
  const noticeOf = (message: BaseMessage) => {
    if (!ToolMessage.isInstance(message)) return undefined;
    const { notice } = (message.response_metadata?.tollgate ?? {}) as { readonly notice?: unknown };
    return { tool: message.name ?? "", notice: typeof notice === "string" ? notice : null };
  };
  return withNotices(messages, noticeOf, (message, notice) => {
    const { content } = message;
    if (typeof content !== "string") return copied(message, { content: [...content, { type: "text", text: notice }] });
    return copied(message, { content: content === "" ? notice : `${content}\n\n${notice}` });
  });
}

/** A copy of a message: a tool may return the same one again. */
function copied<Message extends object>(message: Message, changes: object): Message {
  const copy = Object.assign(Object.create(Object.getPrototypeOf(message)), message);
  return Object.assign(copy, changes, { lc_kwargs: { ...copy.lc_kwargs, ...changes } });
}

type Fields = Exclude<ConstructorParameters<typeof AIMessage>[0], string>;

/** Whether an answer goes on with calls of tools. */
export function hasCalls(answer: unknown): boolean {
  return AIMessage.isInstance(answer) && (answer.tool_calls?.length ?? 0) > 0;
}

/** An answer that ends the run: without calls, and where it says nothing with the denial instead. */
export function lastAnswer(answer: AIMessage, denial: string): AIMessage {
  if (!AIMessage.isInstance(answer)) return answer;
  const isSilent = saysNothing(answer);
  if (!isSilent && !hasCalls(answer)) return answer;
  const { id, text } = answer;
  // Another id than the silent answer's: readers of the stream would take it for one that they have seen.
  const said = isSilent ? { content: denial } : { id, content: text };
  return new AIMessage({ ...said, usage_metadata: answer.usage_metadata } as Fields);
}

/** Whether there is nothing in an answer for a reader: no text, and nothing to look at or to listen to. */
function saysNothing({ text, content }: AIMessage): boolean {
  if (text.trim() !== "") return false;
  return typeof content === "string" || content.every(({ type }) => SILENT.test(String(type)));
}

const SILENT =
  /^(?:text|reasoning|thinking|redacted_thinking|tool_|server_tool_|input_json_delta|function_?call|non_standard)/i;

/**
 * An error of a tool so that LangChain makes the same words of it as without a middleware, where it would end the run. What
 * another middleware let through, or what interrupts the run, stays as it is.
 */
export function shownError(
  error: unknown,
  { toolCall, runtime }: Pick<ToolCallRequest, "toolCall" | "runtime">,
): unknown {
  const isBubbling = (error as { is_bubble_up?: boolean } | null | undefined)?.is_bubble_up === true;
  const isTold = MiddlewareError.isInstance(error) || ToolInvocationError.isInstance(error);
  if (isBubbling || isTold || runtime.signal?.aborted === true) return error;
  const shown = new ToolInvocationError(error, toolCall);
  shown.message = `${error}\n Please fix your mistakes.`;
  return shown;
}

/** What a provider reports about an answer, and the model that was asked. */
export function reportedOf(answer: Answer, asked: unknown): Reported {
  const message = messageOf(answer);
  const usage = message?.usage_metadata as Usage | undefined;
  const { model_name, model = model_name, model_provider } = message?.response_metadata ?? {};
  return {
    input: usage?.input_tokens,
    output: usage?.output_tokens,
    total: usage?.total_tokens,
    cacheRead: usage?.input_token_details?.cache_read,
    cacheWrite: usage?.input_token_details?.cache_creation,
    reasoning: usage?.output_token_details?.reasoning,
    model: model ?? modelNameOf(asked),
    provider: model_provider,
    hasAnswer: message !== undefined && (message.content.length > 0 || (message.tool_calls?.length ?? 0) > 0),
  };
}

type Answer = AIMessage | { readonly messages: readonly BaseMessage[] };

/** The tokens of an answer, as its provider reports them. */
interface Usage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly total_tokens?: number;
  readonly input_token_details?: { readonly cache_read?: number; readonly cache_creation?: number };
  readonly output_token_details?: { readonly reasoning?: number };
}

/** The model's message. Where the answer is structured, LangChain hands on all messages that led to it. */
function messageOf(answer: Answer): AIMessage | undefined {
  if (!("messages" in answer)) return answer;
  return answer.messages.find((each): each is AIMessage => AIMessage.isInstance(each));
}

/** A model's id, as its class keeps it. */
export function modelNameOf(model: unknown): unknown {
  const { model: name, modelName = name } = (model ?? {}) as { readonly model?: unknown; readonly modelName?: unknown };
  return modelName;
}
