// A function tool under limits: each call of it is judged, and settled when it has ended.

import type { Call } from "../../kernel/call.ts";
import type { Guard } from "../guard.ts";
import { noteDenial, noteFor } from "./results.ts";

// biome-ignore-start lint/suspicious/noExplicitAny: tools of every context and every result must fit.
/** A function tool of the SDK. */
export interface FunctionTool {
  readonly name: string;
  /** Set where text that is returned must be JSON. */
  readonly outputSchema?: unknown;
  invoke(runContext: any, input: string, details?: any): Promise<any>;
  isEnabled(runContext: any, agent: any): Promise<boolean>;
}

/** Makes a result of what a tool threw. */
type ErrorFunction = (runContext: any, error: unknown, details?: any) => any;
// biome-ignore-end lint/suspicious/noExplicitAny: until here.

interface Details {
  readonly toolCall?: { readonly callId: string };
  readonly signal?: AbortSignal;
}

/**
 * An `errorFunction` whose errors are seen: `tool({ ..., errorFunction: watchErrors((_, error) => String(error)) })`.
 * The SDK makes a result of what such a tool throws; without this its call counts as one that went well.
 */
export function watchErrors<Own extends ErrorFunction>(errorFunction: Own): Own {
  const watch: ErrorFunction = (runContext, error, details) => {
    if (details !== undefined) failed.add(details);
    return errorFunction(runContext, error, details);
  };
  return watch as Own;
}

/** The details of calls whose tools threw. */
const failed = new WeakSet<object>();

/** What the SDK makes of an error when the tool has no `errorFunction`. */
const DEFAULT_ERROR_TEXT = "An error occurred while running the tool. Please try again.";

/** Carries the result that the SDK made of an error through the limiter, which has to settle a call that failed. */
class ErrorResult extends Error {
  readonly result: unknown;

  constructor(result: unknown) {
    super("the tool threw");
    this.result = result;
  }
}

/** Runs a call under its limits. The SDK's own ways to reject a call come before, and its results' guardrails after. */
export async function invokeGuarded(
  guard: Guard,
  tool: FunctionTool,
  runContext: object,
  input: string,
  details?: Details,
): Promise<unknown> {
  const call: Call = { tool: tool.name, args: parsed(input), toolCallId: details?.toolCall?.callId };
  const run = async () => {
    const result = await tool.invoke(runContext, input, details);
    if (result === DEFAULT_ERROR_TEXT || (details !== undefined && failed.has(details))) throw new ErrorResult(result);
    return result;
  };
  try {
    const ran = await guard.run(call, run, { signal: details?.signal });
    if (!ran.allowed) {
      const text = ran.message;
      noteDenial(text);
      return text;
    }
    if (tool.outputSchema === undefined) noteFor(runContext, call.toolCallId, ran.value, ran);
    return ran.value;
  } catch (error) {
    if (error instanceof ErrorResult) return error.result;
    throw error;
  }
}

/** The arguments as limits per `args` compare them. */
function parsed(input: string): unknown {
  try {
    return JSON.parse(input);
  } catch {
    return input;
  }
}
