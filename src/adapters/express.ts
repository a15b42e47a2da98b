// Express 4 and 5, and what else has middleware of its kind over Node's responses. Nothing of Express is imported.

import type { Policy } from "../kernel/policy/parse.ts";
import type { Made, OnlyMade } from "../kernel/policy/typed.ts";
import type { Limiter } from "../limiter.ts";
import { type Closing, goneWith, type HttpOptions, judgeOf } from "./http.ts";

export type { HeadersDraft, HttpOptions } from "./http.ts";

/** What is known of a request unless `call` says more: `(request: express.Request) => …`. */
export interface ExpressRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  /** The client's address, as the setting `trust proxy` has it. */
  readonly ip?: string | undefined;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** A header field by its name. */
  get(name: string): string | undefined;
}

interface NodeResponse extends Closing {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body: string): unknown;
}

/**
 * A middleware that judges requests. A denied one is answered with 429; when the store fails, or `call` is wrong, the
 * error goes to `next`.
 *
 * @throws MisuseError `invalid-option`
 */
export function expressGuard<
  P extends Policy,
  Bound extends string,
  Returned extends Made<P, Bound>,
  Input = ExpressRequest,
>(
  limiter: Limiter<P, Bound>,
  options: HttpOptions<Input, [], Returned & OnlyMade<P, Returned>>,
): (request: NoInfer<Input>, response: NodeResponse, next: (error?: unknown) => void) => Promise<void> {
  const judge = judgeOf(limiter, options, "express");
  return async (request, response, next) => {
    try {
      const answer = await judge(request, () => goneWith(response));
      for (const [name, value] of Object.entries(answer.fields)) response.setHeader(name, value);
      if (!answer.allowed) {
        response.statusCode = answer.status;
        response.end(answer.body);
        return;
      }
    } catch (error) {
      next(error);
      return;
    }
    next();
  };
}
