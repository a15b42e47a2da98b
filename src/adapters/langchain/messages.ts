// What is made of LangChain's messages and errors.

import {
  AIMessage,
  type BaseMessage,
  MiddlewareError,
  type ToolCallRequest,
  ToolInvocationError,
  ToolMessage,
} from "langchain";
import type { Decision } from "../../kernel/decision.ts";
import { fieldsOf, noticed, textOf } from "../guard.ts";
import type { Reported } from "../model-calls.ts";

/** What the model reads of a call that was denied. */
export function deniedResult({ id = "", name }: ToolCallRequest["toolCall"], decision: Decision): ToolMessage {
  const artifact = fieldsOf(decision);
  return new ToolMessage({ tool_call_id: id, name, status: "error", content: textOf(decision), artifact });
}

/** What stands in for the answer of a model whose call was denied. */
export function deniedAnswer(decision: Decision): AIMessage {
  return new AIMessage({ content: textOf(decision), response_metadata: { tollgate: fieldsOf(decision) } });
}

/** The result of a tool, with what is left of the budget where it is text. */
export function withNotice<Result>(result: Result, decision: Decision): Result {
  if (!ToolMessage.isInstance(result)) return result;
  const content = noticed(result.content, decision);
  // A copy: the tool may return the same message again.
  const copy: Result = Object.assign(Object.create(Object.getPrototypeOf(result)), result);
  return Object.assign(copy as object, { content, lc_kwargs: { ...result.lc_kwargs, content } }) as Result;
}

type Fields = Exclude<ConstructorParameters<typeof AIMessage>[0], string>;

/** A last answer that calls tools, although there are none, without these calls. */
export function withoutCalls(answer: AIMessage, denial: string): AIMessage {
  if (!AIMessage.isInstance(answer) || !answer.tool_calls?.length) return answer;
  const { id, text } = answer;
  return new AIMessage({ id, content: text || denial, usage_metadata: usageOf(answer) } as Fields);
}

/**
 * An error of a tool so that LangChain makes the same words of it as without a middleware, where it would end the run. What
 * another middleware let through, or what interrupts the run, stays as it is.
 */
export function shownError(error: unknown, { toolCall, runtime }: ToolCallRequest): unknown {
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
  const usage = usageOf(answer);
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

/** What a provider says that an answer took, in tokens. */
interface Usage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly total_tokens?: number;
  readonly input_token_details?: { readonly cache_read?: number; readonly cache_creation?: number };
  readonly output_token_details?: { readonly reasoning?: number };
}

/** What an answer took. */
function usageOf(answer: Answer): Usage | undefined {
  return messageOf(answer)?.usage_metadata;
}

/** The model's message. Where the answer is structured, LangChain hands on all messages that led to it. */
function messageOf(answer: Answer): AIMessage | undefined {
  if (!("messages" in answer)) return answer;
  return answer.messages.find((each): each is AIMessage => AIMessage.isInstance(each));
}

function modelNameOf(model: unknown): unknown {
  const { model: name, modelName = name } = (model ?? {}) as { readonly model?: unknown; readonly modelName?: unknown };
  return modelName;
}
