// Limits for the tools of a Think agent of Cloudflare, as its hook. The frameworks' types are named by their shape: the harness
// of `agents` and the class of `@cloudflare/think` give a hook different names for the same things.

import type { Call } from "../kernel/call.ts";
import { invalidOption, MisuseError } from "../kernel/errors.ts";
import type { Limiter } from "../limiter.ts";

/** What a hook gets of a call of a tool. */
export interface ThinkToolCall {
  readonly toolCallId: string;
  readonly toolName: string;
  readonly input: unknown;
  /** The session of a harness. The root session has the id `""`. */
  readonly session?: string;
  /** The operation of a harness: Tollgate's turn. */
  readonly operationId?: string;
  /** The turn of the class `Think`. */
  readonly requestId?: string | undefined;
}

/** The hook of a Think harness, or of the class `Think`. */
export interface ThinkGuard {
  /** Returns nothing where the tool may run. */
  beforeToolCall(call: ThinkToolCall): Promise<{ readonly action: "block"; readonly reason: string } | undefined>;
}

/** What the model reads when its call could not be judged. */
const NOT_JUDGED = "The limits of this tool could not be checked. The tool did not run.";

/**
 * Limits the calls of tools: a tool whose call is denied does not run, and the model reads why. A call that runs again because the
 * object was evicted has the same `toolCallId`, and is charged once for ten minutes.
 *
 * `session` is the harness's session, or `root`. `turn` is its operation, or the `requestId` of `Think`.
 *
 * Limits of `concurrency`, and costs that are known only afterwards, need `run` in the tool itself. The tool does not run when its
 * call cannot be judged.
 *
 * @param callOf what a call has beside its session, turn, tool and arguments, such as `user`
 * @throws MisuseError `invalid-option`
 */
export function thinkGuard(limiter: Limiter, callOf: (call: ThinkToolCall) => Partial<Call> = () => ({})): ThinkGuard {
  if (typeof limiter?.consume !== "function") throw invalidOption("limiter", "a limiter from createLimiter", limiter);
  if (typeof callOf !== "function")
    throw invalidOption("callOf", "a function from a tool's call to dimensions", callOf);
  return {
    async beforeToolCall(call) {
      const { toolCallId, toolName, input, session = "", operationId, requestId } = call;
      const turn = operationId ?? requestId;
      const named: Call = {
        tool: toolName,
        // The limiter takes no empty text.
        session: session === "" ? "root" : session,
        ...(turn === undefined ? {} : { turn }),
        args: input,
        // Some models number their calls from the start in each turn.
        idempotencyKey: JSON.stringify([session, turn, toolCallId]),
      };
      try {
        const decision = await limiter.consume({ ...named, ...callOf(call) });
        return decision.allowed ? undefined : { action: "block", reason: decision.message };
      } catch (error) {
        // A throwing hook would end the operation. A mistake of the program should.
        if (MisuseError.isInstance(error)) throw error;
        return { action: "block", reason: NOT_JUDGED };
      }
    },
  };
}
