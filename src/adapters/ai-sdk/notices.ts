// Notices for the model. A tool's result is the program's and stays as it is; where the SDK makes of it what the model
// reads (`toModelOutput`), the notice follows as a part of its own.

import type { Allowed } from "../../kernel/decision.ts";
import { noticeKey } from "../guard.ts";

// biome-ignore-start lint/suspicious/noExplicitAny: outputs of both versions must fit.
/** What the model reads of a result. */
type Output = any;
/** Makes it, as a tool may do itself. */
type ToModelOutput = (options: any) => Output | PromiseLike<Output>;
// biome-ignore-end lint/suspicious/noExplicitAny: until here.

/** The calls of one step that got a notice, the latest for what each is about. */
type Step = Map<string, object>;

interface Noted {
  readonly notice: string;
  readonly step: Step;
  readonly key: string;
}

/** The SDK hands all calls of a step the same messages, and a call's input object to `toModelOutput`, too. */
const steps = new WeakMap<object, Step>();
const noted = new WeakMap<object, Noted>();

/** Remembers the notice of a call until the SDK makes of its result what the model reads. */
export function noteFor(tool: string, input: unknown, messages: unknown, { notice }: Allowed): void {
  if (notice === null || !isObject(input) || !isObject(messages)) return;
  const step: Step = steps.get(messages) ?? new Map();
  steps.set(messages, step);
  const key = noticeKey(tool, notice);
  step.set(key, input);
  noted.set(input, { notice, step, key });
}

/** What the model reads of a tool's results: as without limits, with the notice after it. */
export function withNotices(own: ToModelOutput | undefined): ToModelOutput {
  const toModelOutput = own ?? (({ output }) => usualOutput(output));
  return async (options) => {
    const output = await toModelOutput(options);
    const found = isObject(options.input) ? noted.get(options.input) : undefined;
    return found !== undefined && found.step.get(found.key) === options.input ? followed(output, found.notice) : output;
  };
}

/** What the SDK makes of a result itself. */
function usualOutput(output: unknown): Output {
  if (typeof output === "string") return { type: "text", value: output };
  try {
    const json = JSON.stringify(output);
    return { type: "json", value: json === undefined ? null : JSON.parse(json) };
  } catch {
    // A BigInt or a cycle: the provider decides whether it can be sent.
    return { type: "json", value: output };
  }
}

function followed(output: Output, notice: string): Output {
  const { type, value, ...rest } = output;
  const last = { type: "text", text: notice };
  if (type === "content") return { ...output, value: [...value, last] };
  const text = type === "json" ? jsonOf(value) : type === "text" ? value : null;
  if (text === null) return output;
  // Some providers refuse parts without a text.
  return { type: "content", value: text === "" ? [last] : [{ type: "text", text, ...rest }, last] };
}

/** `null` where it cannot be JSON: then there is no place for a notice. */
function jsonOf(value: unknown): string | null {
  try {
    return JSON.stringify(value);
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
