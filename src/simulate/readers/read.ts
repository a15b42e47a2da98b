// Reads calls of any format, which is recognised by its first values.

import { MisuseError } from "../../kernel/errors.ts";
import { parseTrace } from "../trace.ts";
import { isClaudeCode, readClaudeCode } from "./claude-code.ts";
import { type JsonValue, jsonValuesIn } from "./json.ts";
import { isOpenAiAgents, readOpenAiAgents } from "./openai-agents.ts";
import { type AttributeMap, isOtlp, readOtlp } from "./otlp.ts";
import type { Read } from "./spans.ts";

export interface ReadAs extends Read {
  readonly format: Format;
}

export const FORMATS = ["trace", "otlp", "claude-code", "openai-agents"] as const;
export type Format = (typeof FORMATS)[number];

type SpanFormat = Exclude<Format, "trace">;

const READERS: Readonly<Record<SpanFormat, (values: readonly JsonValue[], own: AttributeMap) => Read>> = {
  otlp: readOtlp,
  "claude-code": readClaudeCode,
  "openai-agents": readOpenAiAgents,
};
const RECOGNISED: Readonly<Record<SpanFormat, (value: unknown) => boolean>> = {
  otlp: isOtlp,
  "claude-code": isClaudeCode,
  "openai-agents": isOpenAiAgents,
};
/** Values that a format is recognised by. */
const LOOKED_AT = 20;

export interface Source {
  readonly name: string;
  readonly text: string;
}

export interface ReadOptions {
  /** Absent: it is recognised. */
  readonly format?: Format | undefined;
  readonly attributes?: AttributeMap | undefined;
}

/**
 * The calls of one text, or of several that belong together.
 *
 * @throws MisuseError `invalid-option` for a line of a trace that is wrong, and for a text without calls
 */
export function readCalls(sources: readonly Source[], { format, attributes = {} }: ReadOptions = {}): ReadAs {
  const [first] = sources;
  const read = format ?? formatOf(first?.text ?? "");
  if (read === "trace") {
    return { format: read, calls: sources.flatMap(({ name, text }) => parseTrace(text, name)), skipped: 0 };
  }
  const texts = sources.map(({ text }) => jsonValuesIn(withoutMark(text)));
  const found = READERS[read](
    texts.flatMap(({ values }) => values),
    attributes,
  );
  const skipped = found.skipped + texts.reduce((sum, { broken }) => sum + broken, 0);
  if (found.calls.length > 0) return { format: read, calls: found.calls, skipped };
  const expected = `calls of tools in the format ${read}`;
  throw new MisuseError("invalid-option", { at: first?.name ?? "", path: "trace", expected, got: "none" });
}

function formatOf(text: string): Format {
  const plain = withoutMark(text);
  const firstLines = plain.split("\n", LOOKED_AT).join("\n");
  // A document over many lines is only JSON as a whole.
  return recognised(firstLines) ?? (/^\s*[{[]\s*$/m.test(firstLines) ? recognised(plain) : null) ?? "trace";
}

function recognised(text: string): SpanFormat | null {
  const values = jsonValuesIn(text).values.slice(0, LOOKED_AT);
  const formats = Object.keys(RECOGNISED) as SpanFormat[];
  return formats.find((format) => values.some(({ value }) => RECOGNISED[format](value))) ?? null;
}

function withoutMark(text: string): string {
  return text.replace(/^\uFEFF/, "");
}
