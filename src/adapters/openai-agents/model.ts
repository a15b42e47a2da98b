// A model under limits: each call of it is judged, and booked with the tokens that it took.

import { invalidOption } from "../../kernel/errors.ts";
import type { AddUsage } from "../../limiter.ts";
import { openAnswer, readIterator } from "../guard/reading.ts";
import type { Guard } from "../guard.ts";
import { type ModelOptions, modelCalls, type Reported, withMethods } from "../model-calls.ts";
import { keptOf, missingText, readRequest, type Request } from "./results.ts";

// biome-ignore-start lint/suspicious/noExplicitAny: models of every provider must fit.
/** A model of the SDK. */
export interface AnyModel {
  getResponse(request: any): Promise<any>;
  getStreamedResponse(request: any): AsyncIterable<any>;
}
// biome-ignore-end lint/suspicious/noExplicitAny: until here.

/** The usage of an answer. Details are one object, or one for each request. */
interface Usage {
  readonly inputTokens?: unknown;
  readonly outputTokens?: unknown;
  readonly totalTokens?: unknown;
  readonly inputTokensDetails?: Details | readonly Details[] | null;
  readonly outputTokensDetails?: Details | readonly Details[] | null;
}

type Details = Readonly<Record<string, unknown>>;

interface Response {
  readonly usage?: Usage | null;
  readonly output?: readonly unknown[] | null;
  readonly providerData?: Details | null;
}

/** A model whose denied calls answer with the denial, which ends the run politely. All else is the model's own. */
export function guardModel<Model extends AnyModel>(guard: Guard, model: Model, options: ModelOptions): Model {
  const { callOf, maxWaitMs, book } = modelCalls(options);
  if (typeof model?.getResponse !== "function") throw invalidOption("model", "a Model, not its name", model);
  // The interface has no id. Those of the Responses API keep theirs there.
  const call = callOf({}, (model as { readonly _model?: unknown })._model);
  const guarded: AnyModel = {
    async getResponse(request: Request) {
      const answer = async (addUsage: AddUsage) => {
        const response = await model.getResponse(readRequest(request));
        book(addUsage, () => reportedOf(response));
        return spoken(request, response).response;
      };
      const ran = await guard.run(call, answer, { signal: request.signal, maxWaitMs });
      return ran.allowed ? ran.value : { usage: NOTHING, output: [message(ran.detail)] };
    },
    async *getStreamedResponse(request: Request) {
      const begun = await guard.begin(call, { signal: request.signal, maxWaitMs });
      if (!begun.allowed) return yield* deniedEvents(begun.detail);
      let isFinished = false;
      const onEvent = ({ type, response }: { readonly type: string; readonly response?: Response }) => {
        if (type !== "response_done" || isFinished) return false;
        isFinished = true;
        book(begun.addUsage, () => reportedOf(response ?? {}));
        return true;
      };
      const events: AsyncIterable<Parameters<typeof onEvent>[0]> = await openAnswer(begun, () =>
        model.getStreamedResponse(readRequest(request)),
      );
      for await (const event of readIterator(events, begun, onEvent, request.signal)) {
        if (event.type !== "response_done" || event.response === undefined) {
          yield event;
          continue;
        }
        const { response, missing } = spoken(request, event.response);
        if (missing !== null) yield { type: "output_text_delta", delta: missing };
        yield { ...event, response };
      }
    },
  };
  return withMethods(model, guarded);
}

/** An answer that says something where the model says nothing to a denial, and the text that was missing. */
function spoken(request: Request, response: Response) {
  const own = (response.output ?? []) as readonly object[];
  const missing = missingText(request, own);
  const kept = keptOf(request, own);
  const output = missing === null ? kept : [...kept.filter(({ type }) => type !== "message"), message(missing)];
  return { missing, response: output === own ? response : { ...response, output } };
}

function reportedOf({ usage, output, providerData }: Response): Reported {
  const { inputTokens, outputTokens, totalTokens, inputTokensDetails, outputTokensDetails } = usage ?? {};
  return {
    input: inputTokens,
    output: outputTokens,
    total: totalTokens,
    cacheRead: sumOf(inputTokensDetails, "cached_tokens"),
    cacheWrite: sumOf(inputTokensDetails, "cache_write_tokens"),
    reasoning: sumOf(outputTokensDetails, "reasoning_tokens"),
    model: providerData?.model,
    provider: providerData?.provider,
    hasAnswer: (output ?? []).length > 0,
  };
}

/** One of the details; of several requests, their sum. */
function sumOf(details: Details | readonly Details[] | null | undefined, name: string): unknown {
  const all = [details].flat() as readonly (Details | null | undefined)[];
  const counts = all.map((each) => each?.[name]).filter((count) => count !== undefined && count !== null);
  return counts.length === 0 ? undefined : counts.reduce<number>((sum, count) => sum + Number(count), 0);
}

const NOTHING = {
  requests: 0,
  inputTokens: 0,
  outputTokens: 0,
  totalTokens: 0,
  inputTokensDetails: [],
  outputTokensDetails: [],
};

function message(text: string) {
  return { type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text }] };
}

function* deniedEvents(text: string) {
  yield { type: "response_started" };
  yield { type: "output_text_delta", delta: text };
  // An empty id: a later call must not name a response that no provider knows as the one before it.
  const { requests, inputTokens, outputTokens, totalTokens } = NOTHING;
  const usage = { requests, inputTokens, outputTokens, totalTokens };
  yield { type: "response_done", response: { id: "", usage, output: [message(text)] } };
}
