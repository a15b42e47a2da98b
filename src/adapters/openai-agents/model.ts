// A model under limits: each call of it is judged, and booked with the tokens that it took.

import { invalidOption } from "../../kernel/errors.ts";
import type { Report } from "../../limiter.ts";
import { detailOf, type Guard } from "../guard.ts";
import { type ModelOptions, modelCalls } from "../model-calls.ts";
import { keptOf, missingText, type Request as Read, withNotices } from "./results.ts";

// biome-ignore-start lint/suspicious/noExplicitAny: models of every provider must fit.
/** A model of the SDK. */
export interface AnyModel {
  getResponse(request: any): Promise<any>;
  getStreamedResponse(request: any): AsyncIterable<any>;
}
// biome-ignore-end lint/suspicious/noExplicitAny: until here.

interface Request extends Read {
  readonly signal?: AbortSignal;
}

interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** A model whose denied calls answer with the denial, which ends the run politely. All else is the model's own. */
export function guardModel<Model extends AnyModel>(guard: Guard, model: Model, options: ModelOptions): Model {
  const { call, book } = modelCalls(options);
  if (typeof model?.getResponse !== "function") throw invalidOption("model", "a Model, not its name", model);
  const bookUsage = (report: Report, { inputTokens, outputTokens }: Usage) => book(report, inputTokens, outputTokens);
  const guarded: AnyModel = {
    async getResponse(request: Request) {
      const answer = async (report: Report) => {
        const response = await model.getResponse(withNotices(request));
        bookUsage(report, response.usage);
        return spoken(request, response).response;
      };
      const ran = await guard.run(call, answer, request.signal);
      return ran.allowed ? ran.value : { usage: NOTHING, output: [message(detailOf(ran.decision))] };
    },
    async *getStreamedResponse(request: Request) {
      const begun = await guard.begin(call, request.signal);
      if (!begun.allowed) return yield* deniedEvents(detailOf(begun.decision));
      let error: unknown = new Error("the stream was cut");
      try {
        for await (const event of model.getStreamedResponse(withNotices(request))) {
          if (event.type !== "response_done") {
            yield event;
            continue;
          }
          bookUsage(begun.report, event.response.usage);
          error = undefined;
          const { response, missing } = spoken(request, event.response);
          if (missing !== null) yield { type: "output_text_delta", delta: missing };
          yield { ...event, response };
        }
      } catch (thrown) {
        error = thrown;
        throw thrown;
      } finally {
        await begun.end(error);
      }
    },
  };
  return new Proxy(model, {
    get(target, key) {
      if (Object.hasOwn(guarded, key)) return guarded[key as keyof AnyModel];
      const own = Reflect.get(target, key);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}

/** An answer that says something where the model says nothing to a denial, and the text that was missing. */
function spoken<Response extends { readonly output: readonly object[] }>(request: Read, response: Response) {
  const missing = missingText(request, response);
  const kept = keptOf(request, response.output);
  const output = missing === null ? kept : [...kept.filter(({ type }) => type !== "message"), message(missing)];
  return { missing, response: output === response.output ? response : { ...response, output } };
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
  return {
    type: "message",
    role: "assistant",
    status: "completed",
    content: [{ type: "output_text", text }],
  };
}

function* deniedEvents(text: string) {
  yield { type: "response_started" };
  yield { type: "output_text_delta", delta: text };
  // An empty id: a later call must not be told that it follows a response which no provider knows.
  const { requests, inputTokens, outputTokens, totalTokens } = NOTHING;
  const usage = { requests, inputTokens, outputTokens, totalTokens };
  yield { type: "response_done", response: { id: "", usage, output: [message(text)] } };
}
