// The model of a run's last step, which has no tools: what it answers has a text, whatever the model does.

import { LimitExceededError } from "../../kernel/decision.ts";
import { withMethods } from "../model-calls.ts";
import type { AiSdkStep } from "./steps.ts";

// biome-ignore-start lint/suspicious/noExplicitAny: what differs between the SDK's versions must fit.
interface Model {
  doGenerate(options: any): PromiseLike<any>;
  doStream(options: any): PromiseLike<any>;
}
// biome-ignore-end lint/suspicious/noExplicitAny: until here.

interface Part {
  readonly type: string;
  readonly text?: string;
  readonly delta?: string;
  readonly providerExecuted?: boolean;
  readonly finishReason?: { readonly unified: string };
}

/** The text of the last denial that the model read in a step. */
export function denialIn(step: AiSdkStep | undefined): string | null {
  const errors = (step?.content ?? []).map(({ error }) => error);
  const denied = errors.findLast((error) => LimitExceededError.isInstance(error));
  return denied === undefined ? null : denied.decision.message;
}

/**
 * The same model without the calls of tools that it makes although it has none, and with the denial where it says nothing;
 * `null` where the SDK does not say which model it is.
 */
export function speakingModel(model: unknown, denial: string): object | null {
  if (!isModel(model)) return null;
  const speaking: Model = {
    async doGenerate(options) {
      const result = await model.doGenerate(options);
      const content: Part[] = result.content.filter((part: Part) => !isCall(part));
      const said = content.some(isSaid) ? content : [...content, { type: "text", text: denial }];
      return { ...result, content: said, finishReason: ended(result.finishReason) };
    },
    async doStream(options) {
      const result = await model.doStream(options);
      return { ...result, stream: result.stream.pipeThrough(spokenParts(denial)) };
    },
  };
  return withMethods(model, speaking);
}

function spokenParts(denial: string): TransformStream<Part, Part> {
  let hasSaid = false;
  return new TransformStream({
    transform(part, controller) {
      if (isCall(part)) return;
      hasSaid ||= isSaid(part);
      if (part.type !== "finish") return controller.enqueue(part);
      const id = "denied";
      const parts = [
        { type: "text-start", id },
        { type: "text-delta", id, delta: denial },
        { type: "text-end", id },
      ];
      for (const each of hasSaid ? [] : parts) controller.enqueue(each);
      controller.enqueue({ ...part, finishReason: ended(part.finishReason) } as Part);
    },
  });
}

function isModel(model: unknown): model is Model {
  return typeof model === "object" && model !== null && "doGenerate" in model && "doStream" in model;
}

/** A call of the program's tools, or a piece of one. Calls that the provider makes itself stay. */
function isCall({ type, providerExecuted }: Part): boolean {
  return providerExecuted !== true && (type === "tool-call" || type.startsWith("tool-input-"));
}

/** Whether a reader sees it. */
function isSaid({ type, text, delta }: Part): boolean {
  return type === "file" || ((type === "text" || type === "text-delta") && (text ?? delta ?? "").trim() !== "");
}

function ended(reason: Part["finishReason"]): Part["finishReason"] {
  return reason?.unified === "tool-calls" ? { ...reason, unified: "stop" } : reason;
}
