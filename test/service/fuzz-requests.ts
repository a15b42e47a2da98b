// Requests by chance, the same ones for the same seed: bodies that fit the OpenAPI document, and what can be made of them.
// Names are drawn from a bounded pool, so that what a store keeps for them is bounded, too.

import { seededRandom } from "../../bench/calls.ts";

export type Chance = ReturnType<typeof seededRandom>;

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly not?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
}

/** The document as far as requests are made from it. */
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}

export interface FuzzRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | undefined;
  /** Whether it fits the document: nothing was made of it. */
  readonly isValid: boolean;
}

const HOSTILE = [
  "__proto__",
  "constructor",
  "toString",
  "a:b",
  "{x}",
  "%00",
  "\u0000",
  "\n\r",
  "\ud800",
  "\u202e",
  "💥".repeat(40),
  "../../etc/passwd",
  "' OR 1=1 --",
  "<script>",
  "x".repeat(5_000),
  " ",
  "null",
  "-0",
  "1e309",
];
const NAMES = ["s1", "s2", "s3", "s4", "u1", "u2", "acme", "globex", "7", ...HOSTILE];
/** The limits of fuzz-worker.ts whose buckets are named, and what each is per. */
const DIMENSION_OF: Readonly<Record<string, string>> = { "per-session": "session", rate: "user", own: "desk" };
const ODD_METHODS = ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND", "get", "QUERY"];
const JSON_TYPE = { "content-type": "application/json" };

export class Requests {
  readonly #document: Document;
  readonly #chance: Chance;
  readonly #operations: readonly { readonly path: string; readonly method: string; readonly operation: Operation }[];

  constructor(document: Document, seed: number) {
    this.#document = document;
    this.#chance = seededRandom(seed);
    this.#operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      // A stream has no end to wait for: its own tests open some.
      path === "/v1/events"
        ? []
        : Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
    );
  }

  next(): FuzzRequest {
    const { path, method, operation } = this.#one(this.#operations);
    const schema = operation.requestBody?.content["application/json"]?.schema;
    const body = schema === undefined ? undefined : this.#valid(schema, path);
    const request = { method, path: path + this.#query(operation), headers: schema === undefined ? {} : JSON_TYPE };
    const text = body === undefined ? undefined : JSON.stringify(body);
    const kind = this.#chance();
    if (kind < 0.4) return { ...request, body: text, isValid: true };
    if (kind < 0.75 && body !== undefined) {
      return { ...request, body: JSON.stringify(this.#mutated(body, 1 + this.#below(3))), isValid: false };
    }
    if (kind < 0.85 && text !== undefined) return { ...request, body: this.#garbled(text), isValid: false };
    return { ...this.#odd(request), body: text, isValid: false };
  }

  /** A value that fits a schema; at a path whose limits know these words. */
  #valid(schema: Schema, at: string): unknown {
    if (schema.$ref !== undefined) {
      const name = schema.$ref.split("/").at(-1) ?? "";
      return this.#valid(this.#document.components.schemas[name] ?? {}, at);
    }
    if (schema.const !== undefined) return schema.const;
    if (schema.enum !== undefined) return this.#one(schema.enum);
    if (schema.anyOf !== undefined) return this.#valid(this.#one(schema.anyOf), at);
    if (schema.type === "string")
      return schema.pattern === undefined ? this.#one(NAMES) : `${this.#one(["h", "run"])}-${this.#below(20)}`;
    if (schema.type === "integer") return this.#whole(schema);
    if (schema.type === "boolean") return this.#chance() < 0.5;
    if (schema.type === "array") {
      return Array.from({ length: 1 + this.#below(4) }, () => this.#valid(schema.items ?? {}, at));
    }
    if (schema.type === "object") return this.#object(schema, at);
    return this.#any(3);
  }

  #object({ properties = {}, required = [], additionalProperties }: Schema, at: string): object {
    const chosen = Object.entries(properties).filter(
      ([name, schema]) => schema.not === undefined && (required.includes(name) || this.#chance() < 0.4),
    );
    const entries = chosen.map(([name, schema]) => {
      if (name === "tool") return [name, this.#one(["search", "book"])];
      if (name === "limit") return [name, this.#one(Object.keys(DIMENSION_OF))];
      if (name === "cost") return [name, { calls: this.#below(3), tokens: this.#below(20) }];
      if (name === "leaseMs") return [name, 1 + this.#below(200)];
      if (name === "maxWaitMs") return [name, this.#below(6)];
      if (name === "idempotencyKey") return [name, `k-${this.#below(20)}`];
      return [name, this.#valid(schema, at)];
    });
    if (additionalProperties === true && this.#chance() < 0.2) entries.push(["desk", this.#one(NAMES)]);
    const made = Object.fromEntries(entries);
    return "limit" in made && "dimensions" in made && this.#chance() < 0.9 ? this.#named(made) : made;
  }

  /** A bucket by the one dimension of its limit, and no other: what chooses nothing is refused. */
  #named(bucket: Record<string, unknown>): object {
    return { ...bucket, dimensions: { [DIMENSION_OF[String(bucket.limit)] ?? ""]: this.#one(NAMES) } };
  }

  #whole({ minimum = -1_000, maximum = 1_000 }: Schema): number {
    const kind = this.#chance();
    if (kind < 0.05) return minimum;
    if (kind < 0.1) return maximum;
    return Math.max(minimum, Math.min(maximum, this.#below(100)));
  }

  /** Anything that JSON can say. */
  #any(depth: number): unknown {
    const kind = this.#below(depth > 0 ? 9 : 6);
    if (kind === 0) return null;
    if (kind === 1) return this.#chance() < 0.5;
    if (kind === 2) return this.#one([0, -1, 1.5, 2 ** 53, -(2 ** 53), 1e300, 7]);
    if (kind < 6) return this.#one(NAMES);
    if (kind === 6) return Array.from({ length: this.#below(4) }, () => this.#any(depth - 1));
    return Object.fromEntries(Array.from({ length: this.#below(4) }, () => [this.#one(NAMES), this.#any(depth - 1)]));
  }

  /** A value of which some places were changed. */
  #mutated(value: unknown, times: number): unknown {
    let changed = structuredClone(value);
    for (let i = 0; i < times; i++) changed = this.#changed(changed);
    return changed;
  }

  #changed(value: unknown): unknown {
    const isOpen = typeof value === "object" && value !== null && Object.keys(value).length > 0;
    if (isOpen && this.#chance() < 0.75) {
      const key = this.#one(Object.keys(value)) as keyof typeof value;
      const change = this.#chance();
      if (change < 0.2 && !Array.isArray(value)) delete value[key];
      else if (change < 0.35)
        Object.defineProperty(value, this.#one(NAMES), {
          value: this.#any(2),
          enumerable: true,
          configurable: true,
          writable: true,
        });
      else value[key] = this.#changed(value[key]) as never;
      return value;
    }
    if (this.#chance() < 0.05) return nested(this.#one([3, 63, 65, 200, 1_000]));
    if (this.#chance() < 0.02) return "y".repeat(this.#one([70_000, 250_000]));
    return this.#any(3);
  }

  #garbled(text: string): string | Buffer {
    const kind = this.#below(6);
    const cut = this.#below(text.length);
    if (kind === 0) return text.slice(0, cut);
    if (kind === 1)
      return text.slice(0, cut) + this.#one(["\u0000", "}", "]", '"', ",", "\\u", "NaN"]) + text.slice(cut);
    if (kind === 2) return Buffer.from(Array.from({ length: this.#below(200) }, () => this.#below(256)));
    if (kind === 3)
      return Buffer.concat([
        Buffer.from(text.slice(0, cut)),
        Buffer.from([0xff, 0xfe, 0xc0]),
        Buffer.from(text.slice(cut)),
      ]);
    if (kind === 4) return text.replace(/"/g, "'");
    return this.#one(["", " ", "null", "[]", "0", '"x"', "{}", "[".repeat(150_000), "\ufeff{}"]);
  }

  #odd(request: {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
  }) {
    const isValid = false;
    const kind = this.#below(5);
    if (kind === 0) return { ...request, method: this.#one(ODD_METHODS), isValid };
    if (kind === 1)
      return {
        ...request,
        path: this.#one([
          "/",
          "//",
          "/v1",
          "/v1/consume/",
          "/%2e%2e/x",
          "/v1/../healthz",
          "/v1/consume;x",
          "/%",
          "/?%",
          "/v1/usage?a&a",
          `/${"p".repeat(3_000)}`,
        ]),
        isValid,
      };
    const headers = this.#one<Record<string, string>>([
      { "content-type": "text/plain" },
      { "content-type": "application/json; charset=latin1" },
      { "content-encoding": "gzip" },
      { "idempotency-key": this.#one(["", " ", "k-1", "k".repeat(3_000), "\u00ff"]) },
      { authorization: this.#one(["Bearer", "Bearer tg_a_b", "Basic eDp5", "x".repeat(2_000)]) },
      { "x-request-id": this.#one(["ok-1", "a b", "\u00ff", "i".repeat(500)]) },
      { "if-none-match": this.#one(["*", '"', ",,,", '"x", W/"y"']) },
      { accept: "application/xml" },
      { range: "bytes=0-1" },
      { cookie: "a=b".repeat(300) },
    ]);
    return { ...request, headers: { ...request.headers, ...headers }, isValid };
  }

  #query({ parameters = [] }: Operation): string {
    const named = parameters.filter((each) => each.in === "query" && each.name !== "own");
    const query = new URLSearchParams();
    for (const { name } of named) {
      if (this.#chance() < 0.4)
        query.append(name, name === "args" ? JSON.stringify(this.#any(2)) : this.#one(NAMES).slice(0, 500));
    }
    return query.size === 0 ? "" : `?${query}`;
  }

  #one<Item>(items: readonly Item[]): Item {
    return items[this.#below(items.length)] as Item;
  }

  #below(bound: number): number {
    return Math.floor(this.#chance() * bound);
  }
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}
