// YAML, which JSON is part of, as a value, with the place of each of its parts. What a text may cost is bounded: a text that
// passes a bound is refused before anything is made of it. What the value means is not known here.

import { isAlias, isMap, isNode, isScalar, isSeq, Lexer, LineCounter, parseDocument, visit } from "yaml";
import { type Fault, formatGot, MisuseError } from "./kernel/errors.ts";

/** Longest text, in characters. */
export const MAX_TEXT = 1_000_000;
/** Most words and signs: the longest policy that is accepted has fewer. */
const MAX_LEXEMES = 500_000;
/** Most lists and objects in one another. */
const MAX_DEPTH = 64;
/** Most blanks before a line's first word: so many levels that need no brackets. */
const MAX_INDENT = 200;
const MAX_ALIASES = 100;
/** Most faults that are reported. */
export const MAX_FAULTS = 100;

type Keys = readonly (string | number)[];
type Document = ReturnType<typeof parseDocument>;

/** A text that was read. */
export interface YamlText {
  readonly value: unknown;
  /**
   * Where the value that keys lead to stands, or its key: `<source>:<line>:<column>`. Where there is no such value, the nearest
   * one around it. A value behind an alias stands where its anchor is.
   */
  readonly at: (keys: Keys, part?: "value" | "key") => string;
}

/**
 * Reads YAML or JSON.
 *
 * @param source what faults name as the origin of the text, such as a file's path
 * @throws MisuseError `code`, with every fault of the text that was found, at most 100
 */
export function readYaml(text: string, source: string, code: "invalid-policy" | "invalid-option"): YamlText {
  const path = code === "invalid-policy" ? "policy" : source;
  const refuse = (expected: string, got: string): never => {
    throw new MisuseError(code, { path: source, expected, got });
  };
  if (text.length > MAX_TEXT) refuse(`at most ${MAX_TEXT} characters`, "more");
  const bound = boundPassedBy(text);
  if (bound !== null) refuse(bound, "more");
  const lines = new LineCounter();
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${source}:${line}:${col}`;
  };
  const document = parsed(text, lines);
  const faults: Fault[] = [
    ...document.errors.map(({ pos, code, message }) => ({
      at: pos[0],
      expected: "YAML or JSON",
      got: message,
      ...hint(code),
    })),
    ...repeatedKeys(document),
  ]
    .slice(0, MAX_FAULTS)
    .map((fault) => ({ ...fault, at: place(fault.at), path }));
  if (faults.length > 0) throw new MisuseError(code, faults);
  if (aliasesIn(document) > MAX_ALIASES) refuse(`at most ${MAX_ALIASES} aliases`, "more");
  return {
    value: plainOf(document, (got) => refuse("aliases that can be resolved", got)),
    at: (keys, part = "value") => place(offsetOf(document, keys, part)),
  };
}

/** Which bound a text passes; `null` for none. It is cut into words for that, and no further than needed. */
function boundPassedBy(text: string): string | null {
  let count = 0;
  let depth = 0;
  let inLine = 0;
  let isLineStart = true;
  for (const lexeme of new Lexer().lex(text)) {
    const isBlank = lexeme.trim() === "";
    if (++count > MAX_LEXEMES) return `at most ${MAX_LEXEMES} words and signs`;
    if (isLineStart && isBlank && lexeme.length > MAX_INDENT) return `at most ${MAX_INDENT} blanks before a line`;
    if (lexeme === "[" || lexeme === "{") depth++;
    else if (lexeme === "]" || lexeme === "}") depth = Math.max(0, depth - 1);
    else if (lexeme === "-" || lexeme === "?") inLine++;
    isLineStart = lexeme.endsWith("\n");
    if (isLineStart) inLine = 0;
    if (depth + inLine > MAX_DEPTH) return `at most ${MAX_DEPTH} levels`;
  }
  return null;
}

/** Each error would take a trace of the stack, which takes ten times as long as the rest of it. */
function parsed(text: string, lines: LineCounter): Document {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    // The library compares each key with each other one of its map: `repeatedKeys` looks them up.
    return parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error", uniqueKeys: false });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** What to do about an error of the text, where that is known. */
function hint(code: string): Pick<Fault, "hint"> {
  if (code === "TAB_AS_INDENT") return { hint: "Indent with spaces." };
  return code === "BLOCK_IN_FLOW" || code === "MISSING_CHAR"
    ? { hint: "Is a comma, a colon or a bracket missing?" }
    : {};
}

/** Keys that their map has already, and where they stand. */
function repeatedKeys(document: Document): { at: number; expected: string; got: string; hint: string }[] {
  const found: ReturnType<typeof repeatedKeys> = [];
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value)) {
          const got = `${formatGot(key.value)} again`;
          found.push({
            at: key.range?.[0] ?? 0,
            expected: "each key of an object once",
            got,
            hint: "Remove one of them.",
          });
        }
        seen.add(key.value);
      }
    },
  });
  return found;
}

function aliasesIn(document: Document): number {
  let count = 0;
  visit(document, {
    Alias() {
      count++;
    },
  });
  return count;
}

/** The document as plain values. What aliases come to is bounded by the library, which then throws. */
function plainOf(document: Document, refuse: (got: string) => never): unknown {
  try {
    return document.toJS();
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function offsetOf(document: Document, keys: Keys, part: "value" | "key"): number {
  let node: unknown = document.contents;
  let offset = isNode(node) ? node.range?.[0] : 0;
  for (const [n, key] of keys.entries()) {
    const around = isAlias(node) ? node.resolve(document) : node;
    const pair = isMap(around)
      ? around.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key))
      : null;
    node = isSeq(around) ? around.items[Number(key)] : pair?.value;
    const shown = part === "key" && n === keys.length - 1 ? pair?.key : node;
    const start = isNode(shown) ? shown.range?.[0] : isNode(pair?.key) ? pair.key.range?.[0] : undefined;
    if (start === undefined) break;
    offset = start;
  }
  return offset ?? 0;
}
