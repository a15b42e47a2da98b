// The descriptions of a JSON schema, taken from the doc comments of the TypeScript types that the schema checks. So each key
// is described once, where editors of TypeScript show it, too.

import ts from "typescript-5.9";
import { ROOT } from "../test/sources.ts";

/** A JSON schema, as far as it is walked. */
export interface JsonSchema {
  readonly [word: string]: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly const?: unknown;
}

const OPTIONS: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  types: [],
  lib: ["lib.es5.d.ts"],
  allowImportingTsExtensions: true,
};

/** Adds the comments of an exported type's properties to the properties of a schema; both are walked side by side. */
export function describe(schema: JsonSchema, file: string, type: string): JsonSchema {
  const program = ts.createProgram([`${ROOT}${file}`], OPTIONS);
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(`${ROOT}${file}`);
  const module = source === undefined ? undefined : checker.getSymbolAtLocation(source);
  const symbol = module === undefined ? undefined : checker.tryGetMemberInModuleExports(type, module);
  if (symbol === undefined) throw new Error(`${file} does not export ${type}.`);
  return new Describer(checker).walk(schema, [checker.getDeclaredTypeOfSymbol(symbol)]);
}

class Describer {
  readonly #checker: ts.TypeChecker;

  constructor(checker: ts.TypeChecker) {
    this.#checker = checker;
  }

  walk(schema: JsonSchema, types: readonly ts.Type[]): JsonSchema {
    const objects = types.flatMap((type) => (type.isUnion() ? type.types : [type])).filter(isObject);
    const described: Record<string, unknown> = { ...schema };
    for (const word of ["anyOf", "oneOf"] as const) {
      if (schema[word] !== undefined) described[word] = schema[word].map((part) => this.walk(part, objects));
    }
    if (schema.items !== undefined) {
      described.items = this.walk(
        schema.items,
        objects.flatMap((type) => type.getNumberIndexType() ?? []),
      );
    }
    if (typeof schema.additionalProperties === "object") {
      const values = objects.flatMap((type) => type.getStringIndexType() ?? []);
      described.additionalProperties = this.walk(schema.additionalProperties, values);
    }
    if (schema.properties !== undefined) described.properties = this.#properties(schema, objects);
    return described;
  }

  #properties({ properties = {}, required = [] }: JsonSchema, objects: readonly ts.Type[]): Record<string, JsonSchema> {
    const meant = objects.filter((type) => required.every((name) => type.getProperty(name) !== undefined));
    const alike = meant.filter((type) =>
      Object.entries(properties).every(
        ([name, { const: value }]) => value === undefined || this.#takes(type, name, value),
      ),
    );
    return Object.fromEntries(
      Object.entries(properties).map(([name, schema]) => {
        const symbols = alike.flatMap((type) => type.getProperty(name) ?? []);
        const inner = this.walk(
          schema,
          symbols.map((symbol) => this.#checker.getTypeOfSymbol(symbol)),
        );
        const [description] = symbols.map((symbol) => this.#commentOf(symbol)).filter((text) => text !== "");
        return [name, description === undefined ? inner : { description, ...inner }];
      }),
    );
  }

  /** Whether a property may be a literal. */
  #takes(type: ts.Type, name: string, value: unknown): boolean {
    const property = type.getProperty(name);
    if (property === undefined) return false;
    const own = this.#checker.getTypeOfSymbol(property);
    return (own.isUnion() ? own.types : [own]).some((part) => part.isLiteral() && part.value === value);
  }

  #commentOf(symbol: ts.Symbol): string {
    const text = ts.displayPartsToString(symbol.getDocumentationComment(this.#checker));
    return text.replaceAll("`", "").replaceAll(/\s+/g, " ").trim();
  }
}

function isObject(type: ts.Type): boolean {
  return (type.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) !== 0;
}
