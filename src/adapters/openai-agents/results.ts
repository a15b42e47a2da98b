// What the model reads of results: a tool's result is the program's and stays as it is; a model that is guarded reads the
// notice after it, and where it says nothing after a denial, the denial is its answer.

import type { Allowed } from "../../kernel/decision.ts";
import { digest } from "../../kernel/key.ts";
import { withNotices } from "../guard.ts";

/** An item of what the model reads or answers. */
interface Item {
  readonly type?: string;
  readonly name?: string;
  readonly callId?: string;
  readonly output?: unknown;
  readonly content?: unknown;
}

/** What the SDK asks a model. */
export interface Request {
  readonly input: string | readonly Item[];
  readonly tools?: readonly unknown[];
  readonly handoffs?: readonly unknown[];
  readonly outputType?: unknown;
  readonly signal?: AbortSignal;
}

/** The notice of a call, and a digest of its result: the SDK does not pass the run to the model. */
interface Noted {
  readonly run: WeakRef<object>;
  readonly result: string;
  /** `null` where two runs have equal ids and results. */
  readonly notice: string | null;
}

/** Remembered at most. */
const MAX_NOTED = 1_000;

const noted = new Map<string, Noted>();
const denials = new Set<string>();

/** Remembers the notice of a call until the model reads its result, where that is text. */
export function noteFor(run: object, id: string | undefined, value: unknown, { notice }: Allowed): void {
  if (id === undefined || typeof value !== "string") return;
  const before = noted.get(id);
  if (notice === null && before === undefined) return;
  const result = digest(value);
  const other = before?.run.deref();
  const isShared = before?.result === result && other !== undefined && other !== run;
  noted.delete(id);
  noted.set(id, { run: new WeakRef(run), result, notice: isShared ? null : notice });
  if (noted.size > MAX_NOTED) noted.delete(noted.keys().next().value ?? "");
}

export function noteDenial(text: string): void {
  denials.delete(text);
  denials.add(text);
  if (denials.size > MAX_NOTED) denials.delete(denials.values().next().value ?? "");
}

/** The request as the model reads it. */
export function readRequest<Asked extends Request>(request: Asked): Asked {
  if (!Array.isArray(request.input) || noted.size === 0) return request;
  const noticeOf = (item: Item) => {
    if (item.type !== "function_call_result") return undefined;
    const text = textOf(item);
    const found = noted.get(item.callId ?? "");
    const isSame = text !== null && found?.result === digest(text);
    return { tool: item.name ?? "", notice: isSame ? found.notice : null };
  };
  const input = withNotices(request.input as readonly Item[], noticeOf, (item, notice) => {
    const text = textOf(item) ?? "";
    return { ...item, output: { type: "text", text: text === "" ? notice : `${text}\n\n${notice}` } };
  });
  return { ...request, input };
}

/** The text of the last denial among the newest results. */
function denialIn({ input }: Request): string | null {
  if (!Array.isArray(input)) return null;
  const begin = input.findLastIndex(({ type }) => type !== "function_call_result") + 1;
  return (
    input
      .slice(begin)
      .map(textOf)
      .findLast((text) => text !== null && denials.has(text)) ?? null
  );
}

/**
 * The text with which an answer to a denial has to end, because it says nothing; `null` where it says something, goes on
 * with calls, or has to be of another type.
 */
export function missingText(request: Request, output: readonly Item[]): string | null {
  if (request.outputType !== undefined && request.outputType !== "text") return null;
  const goesOn = keptOf(request, output).some((item) => item.type !== "message" && item.type !== "reasoning");
  return goesOn || output.some(isSaid) ? null : denialIn(request);
}

/** An answer to a denial without the calls of a model that has no tools, and without messages that say nothing. */
export function keptOf(request: Request, output: readonly Item[]): readonly Item[] {
  if (request.tools?.length !== 0 || request.handoffs?.length !== 0 || denialIn(request) === null) return output;
  return output.filter(({ type }) => type !== "function_call");
}

function textOf({ output }: Item): string | null {
  if (typeof output === "string") return output;
  const { text } = (output ?? {}) as { readonly text?: unknown };
  return typeof text === "string" ? text : null;
}

/** Whether a message has something for a reader. */
function isSaid({ type, content }: Item): boolean {
  if (type !== "message") return false;
  if (!Array.isArray(content)) return typeof content === "string" && content.trim() !== "";
  return content.some((part) => part?.type !== "output_text" || String(part.text ?? "").trim() !== "");
}
