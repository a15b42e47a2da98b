// Limits for the tools of a Think agent of Cloudflare's `agents`, as its hooks. The framework's types are named by their shape.

import type { Call } from "../kernel/call.ts";
import { MisuseError } from "../kernel/errors.ts";
import type { Limiter } from "../limiter.ts";

/** What a hook is told of a call of a tool. */
export interface ThinkToolCall {
  readonly session: string;
  /** What the harness calls an operation: Tollgate's turn. */
  readonly operationId: string;
  readonly toolCallId: string;
  readonly toolName: string;
  readonly input: unknown;
  /** How often it has begun to run. */
  readonly attempt: number;
}

/** The hooks for the option `hooks` of a Think harness. */
export interface ThinkGuard {
  beforeToolCall(call: ThinkToolCall): Promise<{ action: "run" } | { action: "block"; reason: string }>;
}

/** What the model reads when its call could not be judged. */
const NOT_JUDGED = "The limits of this tool could not be checked. The tool did not run.";

/**
 * Limits the calls of tools: a call that is denied does not run, and the model reads why. A call that runs again because the object was
 * evicted has the same `toolCallId`, and is charged once for ten minutes.
 *
 * Limits of `concurrency`, and costs that are known only afterwards, need `run` in the tool itself. A call that cannot be judged
 * does not run.
 *
 * @param callOf what a call has beside its session, turn, tool and arguments, such as `user`
 */
export function thinkGuard(limiter: Limiter, callOf: (call: ThinkToolCall) => Partial<Call> = () => ({})): ThinkGuard {
  return {
    async beforeToolCall(call) {
      const { session, operationId, toolCallId, toolName, input } = call;
      const named: Call = { tool: toolName, session, turn: operationId, args: input, idempotencyKey: toolCallId };
      try {
        const decision = await limiter.consume({ ...named, ...callOf(call) });
        return decision.allowed ? { action: "run" } : { action: "block", reason: decision.message };
      } catch (error) {
        // A throwing hook would end the operation. A mistake of the program should.
        if (MisuseError.isInstance(error)) throw error;
        return { action: "block", reason: NOT_JUDGED };
      }
    },
  };
}
