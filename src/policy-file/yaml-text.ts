// YAML, which JSON is part of, as a value, with the place of each of its parts. What a text may cost is bounded: a text that
// passes a bound is refused before anything is made of it. What the value means is not known here.

import { type Alias, isMap, isNode, isPair, isScalar, isSeq, Lexer, LineCounter, parseDocument, visit } from "yaml";
import { type Fault, formatGot, MisuseError } from "../kernel/errors.ts";
import type { Keys } from "../kernel/policy/place.ts";
import { aliasesIn, isMerge, named, offsetOf, partOf, sourcesOf } from "./yaml-place.ts";
import type { YamlPart } from "./yaml-part.ts";
import type { Parsed } from "./yaml-place.ts";

/** Longest text, in characters. */
export const MAX_TEXT = 1_000_000;
/** Most words and signs: the longest policy that is accepted has fewer. */
const MAX_LEXEMES = 500_000;
/** Most lists and objects in one another. */
const MAX_DEPTH = 64;
/** Most blanks before a line's first word: so many levels that need no brackets. */
const MAX_INDENT = 200;
const MAX_ALIASES = 100;
/** Most values, each counted again behind each alias and merge key. */
const MAX_VALUES = 1_000_000;
/** Most faults that are reported. */
export const MAX_FAULTS = 100;

type Document = ReturnType<typeof parseDocument>;

/** A text that was read. */
export interface YamlText {
  readonly value: unknown;
  /**
   * Where the value that keys lead to stands, or its key: `<source>:<line>:<column>`. Where there is no such value, the nearest
   * one around it. A value behind an alias stands where its anchor is.
   */
  readonly at: (keys: Keys, part?: "value" | "key") => string;
  /** The value that keys lead to, as a part of the text; `null` where there is none. */
  readonly part: (keys: Keys) => YamlPart | null;
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
  const refuseAll = (found: readonly TextFault[]) => {
    const faults = found.slice(0, MAX_FAULTS).map(({ offset, ...fault }) => ({ ...fault, at: place(offset), path }));
    if (faults.length > 0) throw new MisuseError(code, faults);
  };
  refuseAll([...errorsIn(document), ...repeatedKeys(document)]);
  const aliases = aliasesIn(document.contents);
  const found: Parsed = { contents: document.contents, aliases };
  if (aliases.size > MAX_ALIASES) refuse(`at most ${MAX_ALIASES} aliases`, "more");
  refuseAll([...aliases].filter(([, target]) => target === undefined).map(([alias]) => unknownAlias(alias)));
  refuseAll(wrongMerges(found));
  if (sizeOf(found) > MAX_VALUES) refuse(`at most ${MAX_VALUES} values, with those behind aliases`, "more");
  return {
    // The library's own bound on aliases is stricter: it would refuse a hundred limits with one <<.
    value: document.toJS({ maxAliasCount: -1 }),
    at: (keys, part = "value") => place(offsetOf(found, keys, part)),
    part: (keys) => partOf(found, text, keys),
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
    return parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      logLevel: "error",
      uniqueKeys: false,
      merge: true,
    });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** What to do about errors of the text, by the library's code. */
const HINTS: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: "Indent with spaces.",
  MULTILINE_IMPLICIT_KEY: 'Put a space after each colon, as in "key: value".',
  BLOCK_IN_FLOW: "A comma or a bracket is missing before it.",
  BAD_INDENT: "Close each bracket, and indent what is inside.",
  BAD_SCALAR_START: "Put quotes around it.",
  MULTIPLE_DOCS: "Remove the line --- and what follows it.",
  MERGE: "Write <<: *name, where &name stands before the object whose keys to take.",
  BAD_ALIAS: 'A value that begins with * needs quotes, as in "*_read".',
};

type TextFault = Omit<Fault, "at" | "path"> & { readonly offset: number };

function errorsIn(document: Document): TextFault[] {
  return document.errors.map(({ pos, code, message }) => {
    const isIndent = /without - indicator|at the same column/.test(message);
    const hint = isIndent ? "Indent it as far as the lines that it belongs to." : HINTS[code];
    return textFault(pos[0], "YAML or JSON", message.replace(/; please use .*/, ""), hint);
  });
}

function textFault(offset: number, expected: string, got: string, hint: string | undefined): TextFault {
  return { offset, expected, got, ...(hint === undefined ? {} : { hint }) };
}

/** Keys that their map has already, and where they stand. */
function repeatedKeys(document: Document): TextFault[] {
  const found: TextFault[] = [];
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>();
      for (const pair of items) {
        const { key } = pair;
        if (!isScalar(key)) continue;
        const name = isMerge(pair) ? "<<" : key.value;
        if (seen.has(name)) {
          const got = `${formatGot(name)} again`;
          found.push(textFault(key.range?.[0] ?? 0, "each key of an object once", got, "Remove one of them."));
        }
        seen.add(name);
      }
    },
  });
  return found;
}

/** Merge keys that name anything but objects. */
function wrongMerges(document: Parsed): TextFault[] {
  const found: TextFault[] = [];
  visit(document.contents, {
    Pair(_, pair) {
      if (!isMerge(pair)) return;
      for (const source of sourcesOf(document, pair)) {
        if (isMap(named(document, source))) continue;
        const start = (isNode(source) ? source : pair.key).range?.[0] ?? 0;
        found.push(textFault(start, "an object behind <<, by its alias", "something else", HINTS.MERGE));
      }
    },
  });
  return found;
}

function unknownAlias({ range, source }: Alias): TextFault {
  return textFault(range?.[0] ?? 0, "an anchor with the name of each alias", `*${source}`, HINTS.BAD_ALIAS);
}

/** How many values the document comes to; no number where an alias stands in what it names. */
function sizeOf(document: Parsed): number {
  const sizes = new Map<unknown, number>();
  const sizeAt = (item: unknown): number => {
    const node = named(document, item);
    if (!isMap(node) && !isSeq(node)) return 1;
    const known = sizes.get(node);
    if (known !== undefined) return known;
    sizes.set(node, Number.POSITIVE_INFINITY);
    let size = 1;
    for (const item of node.items) size += isPair(item) ? 1 + sizeAt(item.value) : sizeAt(item);
    sizes.set(node, size);
    return size;
  };
  return sizeAt(document.contents);
}
