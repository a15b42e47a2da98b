// A middleware for language models: each call of the model is judged, and booked with the tokens that it took.

import type { Dimensions } from "../../kernel/call.ts";
import { openAnswer, readStream } from "../guard/reading.ts";
import type { Guard } from "../guard.ts";
import { type ModelOptions, modelCalls, type Reported } from "../model-calls.ts";

// biome-ignore-start lint/suspicious/noExplicitAny: what differs between the SDK's versions must fit.
/** A middleware as both versions take it. */
export interface ModelMiddleware {
  readonly specificationVersion: "v3";
  wrapGenerate(options: any): Promise<any>;
  wrapStream(options: any): Promise<any>;
}
// biome-ignore-end lint/suspicious/noExplicitAny: until here.

/** The usage that a provider reports: by parts, or as flat numbers in version 2 of its interface. */
interface Usage {
  readonly inputTokens?: InputTokens | Count;
  readonly outputTokens?: OutputTokens | Count;
  readonly totalTokens?: Count;
  readonly cachedInputTokens?: Count;
  readonly reasoningTokens?: Count;
}

type Count = number | null | undefined;
type InputTokens = Partial<Record<"total" | "noCache" | "cacheRead" | "cacheWrite", Count>>;
type OutputTokens = Partial<Record<"total" | "text" | "reasoning", Count>>;

interface Model {
  readonly modelId?: string;
  readonly provider?: string;
}

interface Part {
  readonly type: string;
  readonly text?: unknown;
  readonly delta?: unknown;
  readonly modelId?: unknown;
  readonly usage?: Usage | null;
}

type CallParams = Parameters<WhoseModel>[0];

type WhoseModel = (call: { readonly providerOptions?: Readonly<Record<string, unknown>> | undefined }) => Dimensions;

/** A model that is under limits. A denied call answers with the denial, which ends the loop politely. */
export function modelMiddleware(guard: Guard, whose: WhoseModel, options: ModelOptions): ModelMiddleware {
  const { callOf, maxWaitMs, book } = modelCalls(options);
  const judgedAs = ({ providerOptions }: CallParams, model: Model | undefined) =>
    callOf(whose({ providerOptions }), model?.modelId);
  return {
    specificationVersion: "v3",
    async wrapGenerate({ doGenerate, params, model }) {
      const ran = await guard.run(
        judgedAs(params, model),
        async (addUsage) => {
          const result = await doGenerate();
          book(addUsage, () => {
            const parts: readonly Part[] = Array.isArray(result.content) ? result.content : [];
            return reportedOf(result.usage, model, result.response?.modelId, parts.some(isWritten));
          });
          return result;
        },
        { signal: params.abortSignal, maxWaitMs },
      );
      return ran.allowed ? ran.value : { ...DENIED, content: [{ type: "text", text: ran.detail }], warnings: [] };
    },
    async wrapStream({ doStream, params, model }) {
      const begun = await guard.begin(judgedAs(params, model), { signal: params.abortSignal, maxWaitMs });
      if (!begun.allowed) return { stream: ReadableStream.from(deniedParts(begun.detail)) };
      let hasAnswer = false;
      let isFinished = false;
      let modelId: unknown;
      const onPart = (part: Part) => {
        hasAnswer ||= isWritten(part);
        if (part.type === "response-metadata") modelId = part.modelId;
        if (part.type !== "finish" || isFinished) return false;
        isFinished = true;
        book(begun.addUsage, () => reportedOf(part.usage, model, modelId, hasAnswer));
        return true;
      };
      return openAnswer(begun, async () => {
        const result = await doStream();
        return { ...result, stream: readStream<Part>(result.stream, begun, onPart, params.abortSignal) };
      });
    },
  };
}

/** Parts that are not written by the model. */
const FRAMING = new Set(
  "stream-start response-metadata finish error raw text-start text-end reasoning-start reasoning-end".split(" "),
);

function isWritten({ type, text, delta }: Part): boolean {
  return !FRAMING.has(type) && text !== "" && delta !== "";
}

function reportedOf(
  usage: Usage | null | undefined,
  model: Model | undefined,
  modelId: unknown,
  hasAnswer: boolean,
): Reported {
  const { inputTokens, outputTokens, totalTokens, cachedInputTokens, reasoningTokens } = usage ?? {};
  const input: InputTokens =
    typeof inputTokens === "object" && inputTokens !== null ? inputTokens : { total: inputTokens };
  const output: OutputTokens =
    typeof outputTokens === "object" && outputTokens !== null ? outputTokens : { total: outputTokens };
  return {
    input: input.total ?? sumOf(input.noCache, input.cacheRead, input.cacheWrite),
    output: output.total ?? sumOf(output.text, output.reasoning),
    total: totalTokens,
    cacheRead: input.cacheRead ?? cachedInputTokens,
    cacheWrite: input.cacheWrite,
    reasoning: output.reasoning ?? reasoningTokens,
    model: modelId ?? model?.modelId,
    provider: model?.provider,
    hasAnswer,
  };
}

/** A total that is not reported, of its parts: the first is most of it. */
function sumOf(first: Count, ...others: readonly Count[]): Count {
  if (first === undefined || first === null) return undefined;
  return others.reduce<number>((sum, each) => sum + (each ?? 0), first);
}

const DENIED = {
  finishReason: { unified: "other", raw: "denied" },
  usage: {
    inputTokens: { total: 0, noCache: 0, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 0, text: 0, reasoning: 0 },
  },
};

function deniedParts(text: string): object[] {
  const id = "denied";
  return [
    { type: "stream-start", warnings: [] },
    { type: "text-start", id },
    { type: "text-delta", id, delta: text },
    { type: "text-end", id },
    { type: "finish", ...DENIED },
  ];
}
