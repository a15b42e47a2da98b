// A middleware for language models: each call of the model is judged, and booked with the tokens that it took.

import { detailOf, type Guard, watched } from "../guard.ts";
import { type ModelOptions, modelCalls } from "../model-calls.ts";

// biome-ignore-start lint/suspicious/noExplicitAny: what differs between the SDK's versions must fit.
/** A middleware as both versions take it. */
export interface ModelMiddleware {
  readonly specificationVersion: "v3";
  wrapGenerate(options: any): Promise<any>;
  wrapStream(options: any): Promise<any>;
}
// biome-ignore-end lint/suspicious/noExplicitAny: until here.

/** What a provider says that a call of its model took. */
interface Usage {
  readonly inputTokens?: { readonly total?: number | undefined } | undefined;
  readonly outputTokens?: { readonly total?: number | undefined } | undefined;
}

/** A model that is under limits. A denied call answers with the denial, which ends the loop politely. */
export function modelMiddleware(guard: Guard, options: ModelOptions): ModelMiddleware {
  const { call, book } = modelCalls(options);
  return {
    specificationVersion: "v3",
    async wrapGenerate({ doGenerate, params }) {
      const ran = await guard.run(
        call,
        async (report) => {
          const result = await doGenerate();
          book(report, result.usage.inputTokens?.total, result.usage.outputTokens?.total);
          return result;
        },
        params.abortSignal,
      );
      return ran.allowed
        ? ran.value
        : { ...DENIED, content: [{ type: "text", text: detailOf(ran.decision) }], warnings: [] };
    },
    async wrapStream({ doStream, params }) {
      const begun = await guard.begin(call, params.abortSignal);
      if (!begun.allowed) return { stream: ReadableStream.from(deniedParts(detailOf(begun.decision))) };
      try {
        const result = await doStream();
        const onPart = ({ type, usage }: { type: string; usage: Usage }) => {
          if (type === "finish") book(begun.report, usage.inputTokens?.total, usage.outputTokens?.total);
        };
        return { ...result, stream: watched(result.stream, onPart, begun.end) };
      } catch (error) {
        await begun.end(error);
        throw error;
      }
    },
  };
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
