// The keys that a JSON schema knows, with what it says of each: for the snapshot of the surface, and for the reference.

/** As much of a schema as its keys need. */
export interface KeySchema {
  readonly description?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly pattern?: string;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly anyOf?: readonly KeySchema[];
  readonly items?: KeySchema;
  readonly not?: unknown;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, KeySchema>>;
  readonly additionalProperties?: KeySchema | boolean;
}

/** One key at one place, such as `limits[].mode`. */
export interface Place {
  readonly words: Set<string>;
  /** The algorithms whose limits have the key. */
  readonly algorithms: Set<string>;
  /** The schemas of the key, with the algorithm of the limit that each belongs to, or an empty text. */
  readonly schemas: { readonly algorithm: string; readonly schema: KeySchema; readonly isRequired: boolean }[];
}

/** A line for each place, such as `limits[].mode: enforce | warn`, sorted. Keys of some algorithms alone say which. */
export function keysOf(schema: KeySchema): string[] {
  const places = placesOf(schema);
  const algorithms = algorithmsOf(places.values());
  return [...places].map(([path, place]) => lineOf(path, place, algorithms.size)).toSorted();
}

/** The keys by their places, in the order of the schema. */
export function placesOf(schema: KeySchema): Map<string, Place> {
  const places = new Map<string, Place>();
  visit(schema, "", "", places);
  return places;
}

/** All algorithms whose limits have one of the keys. */
export function algorithmsOf(places: Iterable<Place>): Set<string> {
  return new Set([...places].flatMap((place) => [...place.algorithms]));
}

function lineOf(path: string, { words, algorithms }: Place, all: number): string {
  const isEverywhere = algorithms.size === 0 || algorithms.size === all;
  const values = words.size === 0 ? "" : `: ${[...words].join(" | ")}`;
  return `${path}${values}${isEverywhere ? "" : `  (${[...algorithms].toSorted().join(", ")})`}`;
}

function visit(schema: KeySchema, path: string, algorithm: string, places: Map<string, Place>): void {
  const inner = algorithm === "" ? algorithmOf(schema) : algorithm;
  for (const [key, value] of Object.entries(schema.properties ?? {})) {
    const isRequired = schema.required?.includes(key) === true;
    if (value.not === undefined) visitKey(value, path === "" ? key : `${path}.${key}`, inner, isRequired, places);
  }
  for (const each of schema.anyOf ?? []) visit(each, path, inner, places);
  if (schema.items !== undefined) visit(schema.items, `${path}[]`, inner, places);
  if (typeof schema.additionalProperties === "object") visit(schema.additionalProperties, `${path}.*`, inner, places);
}

function visitKey(
  schema: KeySchema,
  path: string,
  algorithm: string,
  isRequired: boolean,
  places: Map<string, Place>,
): void {
  const place = places.get(path) ?? { words: new Set(), algorithms: new Set(), schemas: [] };
  places.set(path, place);
  for (const word of wordsOf(schema)) place.words.add(word);
  if (algorithm !== "") place.algorithms.add(algorithm);
  place.schemas.push({ algorithm, schema, isRequired });
  visit(schema, path, algorithm, places);
}

/** The words that a value may be. */
export function wordsOf(schema: KeySchema): string[] {
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
