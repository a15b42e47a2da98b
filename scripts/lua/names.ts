// Which name in Lua text means which declaration. It knows Lua's blocks and scopes, and nothing of values: text that is no Lua
// is not reported.

/** A word or a sign, and where it stands. */
export interface Token {
  readonly text: string;
  readonly kind: "name" | "keyword" | "string" | "other";
  readonly offset: number;
  /** From 0. */
  readonly line: number;
}

/** A local name. */
export interface Declaration {
  readonly token: Token;
  /** The function that it is declared in. */
  readonly owner: LuaFunction;
}

/** A function, or the text as a whole. */
export interface LuaFunction {
  readonly name: string;
  readonly firstLine: number;
  lastLine: number;
  readonly parent: LuaFunction | null;
  /** Most locals that are alive at one time. */
  mostLocals: number;
  /** Locals of functions around it. */
  readonly upvalues: Set<Declaration>;
}

/** A name that is used. `declaration` is `null` for a global. */
export interface Use {
  readonly token: Token;
  readonly declaration: Declaration | null;
}

export interface LuaText {
  readonly uses: readonly Use[];
  readonly functions: readonly LuaFunction[];
}

const KEYWORDS = new Set(
  "and break do else elseif end false for function if in local nil not or repeat return then true until while".split(
    " ",
  ),
);
const TOKEN =
  /--[^\n]*|\s+|(?<name>[A-Za-z_]\w*)|(?<string>"(?:[^"\\\n]|\\.)*")|(?<other>\d[\w.]*|\.\.\.?|[=~<>]=|[^\s\w])/g;

export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let line = 0;
  let from = 0;
  for (const found of text.matchAll(TOKEN)) {
    for (; from < found.index; from++) if (text[from] === "\n") line++;
    const { name, string, other } = found.groups ?? {};
    const value = name ?? string ?? other;
    if (value === undefined) continue;
    const kind = name !== undefined ? "name" : string !== undefined ? "string" : "other";
    tokens.push({ text: value, kind: KEYWORDS.has(value) ? "keyword" : kind, offset: found.index, line });
  }
  return tokens;
}

/** A block, or a table that is written out. */
interface Scope {
  readonly kind: "block" | "function" | "table" | "repeat";
  readonly names: Map<string, Declaration>;
}

/** All names of a text. */
export function namesOf(text: string): LuaText {
  return new Resolver(tokensOf(text)).run();
}

class Resolver {
  readonly #tokens: readonly Token[];
  readonly #scopes: Scope[] = [];
  readonly #uses: Use[] = [];
  readonly #functions: LuaFunction[] = [];
  #function: LuaFunction;
  /** Names of a `for`, until its `do`. */
  #loopNames: Token[] | null = null;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
    this.#function = { name: "", firstLine: 0, lastLine: 0, parent: null, mostLocals: 0, upvalues: new Set() };
    this.#functions.push(this.#function);
    this.#open("function");
  }

  run(): LuaText {
    for (let i = 0; i < this.#tokens.length; i++) i = this.#read(i);
    return { uses: this.#uses, functions: this.#functions };
  }

  /** Reads from a token on. Returns the last one that it has read. */
  #read(i: number): number {
    const token = this.#tokens[i] as Token;
    if (token.kind === "name") this.#use(i);
    switch (token.kind === "string" ? "" : token.text) {
      case "local":
        return this.#readLocal(i + 1);
      case "function":
        return this.#readFunction(i + 1, "a function");
      case "for":
        return this.#readFor(i + 1);
      case "then":
      case "do":
        this.#open("block");
        for (const name of this.#loopNames ?? []) this.#declare(name);
        if (token.text === "do") this.#loopNames = null;
        break;
      case "repeat":
        this.#open("repeat");
        break;
      case "{":
        this.#open("table");
        break;
      case "else":
        this.#close(token);
        this.#open("block");
        break;
      case "elseif":
      case "end":
      case "until":
      case "}":
        this.#close(token);
        break;
    }
    return i;
  }

  #readLocal(i: number): number {
    if (this.#tokens[i]?.text === "function") {
      const name = this.#tokens[i + 1] as Token;
      this.#declare(name);
      return this.#readFunction(i + 2, name.text);
    }
    let last = i;
    this.#declare(this.#tokens[i] as Token);
    for (; this.#tokens[last + 1]?.text === ","; last += 2) this.#declare(this.#tokens[last + 2] as Token);
    return last;
  }

  /** From behind `function`, or behind the name of a local one. */
  #readFunction(i: number, named: string): number {
    let at = i;
    let name = named;
    for (; this.#tokens[at]?.text !== "("; at++) {
      if (at === i) this.#use(at);
      name = at === i ? (this.#tokens[at]?.text ?? "") : `${name}${this.#tokens[at]?.text}`;
    }
    const firstLine = (this.#tokens[at] as Token).line;
    const inner = {
      name,
      firstLine,
      lastLine: firstLine,
      parent: this.#function,
      mostLocals: 0,
      upvalues: new Set<Declaration>(),
    };
    this.#functions.push(inner);
    this.#function = inner;
    this.#open("function");
    for (at++; this.#tokens[at]?.text !== ")"; at++) {
      if (this.#tokens[at]?.kind === "name") this.#declare(this.#tokens[at] as Token);
    }
    return at;
  }

  #readFor(i: number): number {
    const names: Token[] = [];
    let at = i;
    for (; this.#tokens[at]?.text !== "=" && this.#tokens[at]?.text !== "in"; at++) {
      if (this.#tokens[at]?.kind === "name") names.push(this.#tokens[at] as Token);
    }
    this.#loopNames = names;
    return at;
  }

  #use(i: number): void {
    const token = this.#tokens[i] as Token;
    const [before, after] = [this.#tokens[i - 1]?.text, this.#tokens[i + 1]?.text];
    const isField = before === "." || before === ":";
    const isKey = after === "=" && this.#scopes.at(-1)?.kind === "table" && (before === "{" || before === ",");
    if (isField || isKey) return;
    const declaration = this.#scopes.findLast(({ names }) => names.has(token.text))?.names.get(token.text) ?? null;
    this.#uses.push({ token, declaration });
    if (declaration === null) return;
    for (
      let user: LuaFunction | null = this.#function;
      user !== null && user !== declaration.owner;
      user = user.parent
    ) {
      user.upvalues.add(declaration);
    }
  }

  #declare(token: Token): void {
    const declaration = { token, owner: this.#function };
    this.#scopes.at(-1)?.names.set(token.text, declaration);
    const own = this.#scopes.slice(this.#scopes.findLastIndex(({ kind }) => kind === "function"));
    const count = own.reduce((sum, { names }) => sum + names.size, 0);
    this.#function.mostLocals = Math.max(this.#function.mostLocals, count);
  }

  #open(kind: Scope["kind"]): void {
    this.#scopes.push({ kind, names: new Map() });
  }

  #close(token: Token): void {
    if (this.#scopes.pop()?.kind !== "function") return;
    this.#function.lastLine = token.line;
    this.#function = this.#function.parent ?? this.#function;
  }
}
