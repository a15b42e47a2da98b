// The keys that a JSON schema knows, one place a line.

/** As much of a schema as its keys need. */
export interface KeySchema {
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly KeySchema[];
  readonly items?: KeySchema;
  readonly not?: unknown;
  readonly properties?: Readonly<Record<string, KeySchema>>;
  readonly additionalProperties?: KeySchema | boolean;
}

interface Place {
  readonly words: Set<string>;
  /** The algorithms whose limits have the key. */
  readonly algorithms: Set<string>;
}

/** A line for each place, such as `limits[].mode: enforce | warn`, sorted. Keys of some algorithms alone say which. */
export function keysOf(schema: KeySchema): string[] {
  const places = new Map<string, Place>();
  visit(schema, "", "", places);
  const algorithms = new Set([...places.values()].flatMap((place) => [...place.algorithms]));
  return [...places].map(([path, place]) => lineOf(path, place, algorithms.size)).toSorted();
}

function lineOf(path: string, { words, algorithms }: Place, all: number): string {
  const isEverywhere = algorithms.size === 0 || algorithms.size === all;
  const values = words.size === 0 ? "" : `: ${[...words].join(" | ")}`;
  return `${path}${values}${isEverywhere ? "" : `  (${[...algorithms].toSorted().join(", ")})`}`;
}

function visit(schema: KeySchema, path: string, algorithm: string, places: Map<string, Place>): void {
  const inner = algorithm === "" ? algorithmOf(schema) : algorithm;
  for (const [key, value] of Object.entries(schema.properties ?? {})) {
    if (value.not === undefined) visitKey(value, path === "" ? key : `${path}.${key}`, inner, places);
  }
  for (const each of schema.anyOf ?? []) visit(each, path, inner, places);
  if (schema.items !== undefined) visit(schema.items, `${path}[]`, inner, places);
  if (typeof schema.additionalProperties === "object") visit(schema.additionalProperties, `${path}.*`, inner, places);
}

function visitKey(value: KeySchema, path: string, algorithm: string, places: Map<string, Place>): void {
  const place = places.get(path) ?? { words: new Set(), algorithms: new Set() };
  places.set(path, place);
  for (const word of wordsOf(value)) place.words.add(word);
  if (algorithm !== "") place.algorithms.add(algorithm);
  visit(value, path, algorithm, places);
}

function wordsOf(schema: KeySchema): string[] {
  const words = [...(schema.enum ?? []), ...(schema.const === undefined ? [] : [schema.const])].map(String);
  return [...words, ...(schema.anyOf ?? []).flatMap(wordsOf)];
}

/** The algorithm that a limit of this schema has, also where it is inferred from another key. */
function algorithmOf({ properties = {} }: KeySchema): string {
  const { algorithm, burst, window } = properties;
  if (algorithm?.const !== undefined) return String(algorithm.const);
  if (burst !== undefined) return "token-bucket";
  return window !== undefined && properties.per !== undefined ? "fixed-window" : "";
}
