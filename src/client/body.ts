// Bodies of requests and of answers: JSON with bounds.

import { jsonValue, leftOut, opaqueKind } from "../kernel/args.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";

/** The most bytes of an answer: a batch of 256 decisions on 200 limits each has fewer. */
export const MAX_REPLY_BYTES = 16_000_000;

/** Writes a body as JSON. Throws `invalid-call`. */
export function jsonText(body: unknown): string {
  try {
    return JSON.stringify(body, (_, value) => writable(value)) ?? "null";
  } catch (error) {
    const got = `a cycle, or a value that threw when it was read: ${formatGot(error)}`;
    throw new MisuseError("invalid-call", { path: "call", expected: "what can be written as JSON", got });
  }
}

/** A value as it is sent. An object whose content JSON leaves out throws: the service could not tell such objects apart. */
function writable(value: unknown): unknown {
  const json = jsonValue(value);
  const kind = typeof json === "object" && json !== null ? opaqueKind(json) : null;
  if (kind !== null) throw new TypeError(leftOut(kind));
  return json;
}

/** Reads the text of an answer; `null` when it is too long or no UTF-8. It stops reading as soon as that is known. */
export async function textIn(response: Response): Promise<string | null> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let bytes = 0;
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    bytes += value?.byteLength ?? 0;
    try {
      if (bytes > MAX_REPLY_BYTES) throw new RangeError("too long");
      text += decoder.decode(value, { stream: !done });
    } catch {
      void reader.cancel().catch(() => {});
      return null;
    }
    if (done) return text;
  }
}

/** Parses an answer: `null` for an empty text, `undefined` for invalid JSON. */
export function parsed(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
