// Where the values of a TOML text stand. It knows tables, keys with dots, lists and inline tables, and looks into no value:
// dates and numbers may be wrong.

/** A value, and the keys that lead to it: names, and numbers in lists. Offsets are those of the text. */
export interface TomlValue {
  readonly path: readonly (string | number)[];
  readonly from: number;
  readonly to: number;
  /** Whether it stands in an inline table, where no line ends. */
  readonly isInline: boolean;
}

/** Thrown for a text that is no TOML. */
export class NotTomlError extends Error {
  override readonly name = "NotTomlError";
  readonly at: number;

  constructor(at: number) {
    super(`unexpected text at byte ${at}`);
    this.at = at;
  }
}

const KEY = /[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y;
const SCALAR = /\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]+|[^\s,\]}#=[{"']+/y;
const TEXT = /"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y;
const LONG_TEXT = /"""(?:[^\\]|\\[\s\S])*?"""(?:"{1,2}(?!"))?|'''[\s\S]*?'''(?:'{1,2}(?!'))?/y;
/** White space and comments, over lines. */
const BLANKS = /(?:\s|#[^\n]*)*/y;
const SPACES = /[ \t]*/y;
const LINE_END = /[ \t]*(?:#[^\n]*)?(?:\r?\n|$)/y;

/** Every value of a text, in its order; a list before its elements. */
export function tomlValues(text: string): TomlValue[] {
  const reader = new TomlReader(text);
  reader.readAll();
  return reader.values;
}

/** What a text in quotes, or a key, says. */
export function tomlText(raw: string): string {
  if (/^'''|^"""/.test(raw)) return raw.slice(3, -3);
  if (raw.startsWith("'")) return raw.slice(1, -1);
  if (!raw.startsWith('"')) return raw;
  const long = /\\U([0-9a-fA-F]{8})/g;
  try {
    return JSON.parse(raw.replace(long, (_, code) => String.fromCodePoint(Number.parseInt(code, 16))));
  } catch {
    return raw.slice(1, -1);
  }
}

class TomlReader {
  readonly values: TomlValue[] = [];
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  readAll(): void {
    let table: readonly (string | number)[] = [];
    this.#skip(BLANKS);
    while (this.#at < this.#text.length) {
      if (this.#text[this.#at] === "[") table = this.#readHeader();
      else this.#readPair(table, false);
      if (this.#match(LINE_END) === null) throw new NotTomlError(this.#at);
      this.#skip(BLANKS);
    }
  }

  #readHeader(): readonly (string | number)[] {
    const isList = this.#text.startsWith("[[", this.#at);
    this.#at += isList ? 2 : 1;
    const keys = this.#readKeys();
    this.#expect(isList ? "]]" : "]");
    const path = isList ? [...keys, 0] : keys;
    this.values.push({ path, from: this.#at, to: this.#at, isInline: false });
    return path;
  }

  #readPair(table: readonly (string | number)[], isInline: boolean): void {
    const path = [...table, ...this.#readKeys()];
    this.#expect("=");
    this.#skip(SPACES);
    this.#readValue(path, isInline);
  }

  #readKeys(): string[] {
    const keys: string[] = [];
    for (;;) {
      this.#skip(SPACES);
      keys.push(tomlText(this.#match(KEY) ?? this.#fail()));
      this.#skip(SPACES);
      if (this.#text[this.#at] !== ".") return keys;
      this.#at++;
    }
  }

  #readValue(path: readonly (string | number)[], isInline: boolean): void {
    const from = this.#at;
    const place = this.values.length;
    const first = this.#text[from];
    if (first === "[") this.#readItems("]", (i) => this.#readValue([...path, i], isInline));
    else if (first === "{") this.#readItems("}", () => this.#readPair(path, true));
    else if (this.#match(LONG_TEXT) === null && this.#match(TEXT) === null && this.#match(SCALAR) === null)
      this.#fail();
    this.values.splice(place, 0, { path, from, to: this.#at, isInline });
  }

  #readItems(close: string, read: (i: number) => void): void {
    this.#at++;
    for (let i = 0; ; i++) {
      this.#skip(BLANKS);
      if (this.#text[this.#at] === close) break;
      read(i);
      this.#skip(BLANKS);
      if (this.#text[this.#at] === close) break;
      this.#expect(",");
    }
    this.#at++;
  }

  #expect(word: string): void {
    if (!this.#text.startsWith(word, this.#at)) this.#fail();
    this.#at += word.length;
  }

  #skip(pattern: RegExp): void {
    this.#match(pattern);
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? null;
    if (found !== null) this.#at += found.length;
    return found;
  }

  #fail(): never {
    throw new NotTomlError(this.#at);
  }
}
