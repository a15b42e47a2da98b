// A model that repeats its calls for ever, as long as it has tools.

import { BaseChatModel, type BindToolsInput } from "@langchain/core/language_models/chat_models";
import { AIMessage, type BaseMessage } from "langchain";

export const ANSWER = "That is all I found.";

/** Says the same calls again, with equal ids and arguments, or an answer when it has no tools. */
export class RunawayModel extends BaseChatModel {
  readonly #calls: number;
  readonly #tools: readonly BindToolsInput[];
  /** What each of its calls was asked with, whatever tools it had. */
  readonly asked: (readonly BaseMessage[])[];

  constructor(calls: number, tools: readonly BindToolsInput[] = [], asked: (readonly BaseMessage[])[] = []) {
    super({});
    this.#calls = calls;
    this.#tools = tools;
    this.asked = asked;
  }

  override _llmType(): string {
    return "runaway";
  }

  override bindTools(tools: BindToolsInput[]): RunawayModel {
    return new RunawayModel(this.#calls, tools, this.asked);
  }

  override async _generate(messages: BaseMessage[]) {
    this.asked.push(messages);
    const call = { type: "tool_call", id: "call_1", name: "search", args: { query: "again" } } as const;
    const message =
      this.#tools.length > 0
        ? new AIMessage({ content: "", tool_calls: Array.from({ length: this.#calls }, () => call) })
        : new AIMessage(ANSWER);
    return { generations: [{ text: message.text, message }] };
  }
}
