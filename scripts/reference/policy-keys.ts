// The page of all keys of a policy, made from the schema that editors check by.

import { policySchemaJson } from "../schema.ts";
import { algorithmsOf, type KeySchema, type Place, placesOf, wordsOf } from "./schema-keys.ts";
import { code, headOf, table } from "./table.ts";

const ABOUT = `Every key of a policy, with the values that it takes. [Policies](../policy.md) explains them, with examples; the keys of
\`tests\` are in [Policy tests](../policy-tests.md). A key without *required* may be left out. \`limits[]\` is each limit, \`tools.*\` each tool. Keys that begin with \`x-\` are ignored.`;

/** The schema of a policy without its tests. */
export function policySchema(): KeySchema {
  const schema: KeySchema = JSON.parse(policySchemaJson());
  const { tests: _tests, ...properties } = schema.properties ?? {};
  return { ...schema, properties };
}

/** docs/reference/policy-keys.md. */
export function policyKeysPage(): string {
  const places = placesOf(policySchema());
  const all = algorithmsOf(places.values()).size;
  const isLimits = (path: string) => path.startsWith("limits[]");
  const rows = (isWanted: (path: string) => boolean) =>
    [...places]
      .filter(([path]) => isWanted(path))
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([path, place]) => rowsOf(path, place, all));
  return [
    headOf("Keys of a policy: reference", ABOUT),
    `## The policy\n\n${table(
      ["key", "what it is", "values"],
      rows((path) => !isLimits(path)).map((row) => row.slice(0, 3)),
    )}`,
    `## A limit\n\n${table(["key", "what it is", "values", "algorithms"], rows(isLimits))}`,
  ].join("\n");
}

/** A row for each meaning that the key has: for some algorithms it has another one. */
function rowsOf(path: string, { schemas }: Place, all: number): string[][] {
  const meanings = Object.groupBy(schemas, ({ schema: { description } }) =>
    description === undefined ? "How the limit counts: [algorithms](../policy.md#which-algorithm)." : description,
  );
  return Object.entries(meanings).map(([meaning, same = []]) => {
    const values = new Set(same.flatMap(({ schema }) => valuesOf(schema, ELEMENTS[path.replace(/^.*\./, "")])));
    const isRequired = same.every((each) => each.isRequired);
    const algorithms = new Set(same.flatMap(({ algorithm }) => (algorithm === "" ? [] : [algorithm])));
    const isEverywhere = algorithms.size === 0 || algorithms.size === all;
    return [
      code([path]),
      `${isRequired ? "*Required.* " : ""}${meaning}`,
      [...values].join(", "),
      isEverywhere ? "all" : code([...algorithms].sort()),
    ];
  });
}

/** What the lists have, by their keys. */
const ELEMENTS: Readonly<Record<string, string>> = { per: "dimensions", overrides: "entries", limits: "limits" };

function valuesOf(schema: KeySchema, elements = "names"): string[] {
  return [...rangesOf(schema, elements), ...wordsOf(schema).map((word) => `\`${word}\``)];
}

/** The patterns of texts that a schema has, in words. */
const PATTERNS: readonly [part: RegExp, words: string][] = [
  [/\(ms\|s\|m\|h\|d\)/, "a duration such as `30s`"],
  [/\[kM\]/, "an amount such as `200k` or `$0.05`"],
];

/** The bounds of numbers, lists and texts. */
function rangesOf(schema: KeySchema, elements: string): string[] {
  const { minimum, maximum, exclusiveMinimum, minItems = 0, maxItems, maxLength, pattern = "", anyOf = [] } = schema;
  const shown = (number: number) => (number === Number.MAX_SAFE_INTEGER ? "2^53 - 1" : number.toLocaleString("en"));
  const from = minimum ?? (exclusiveMinimum === undefined ? undefined : `above ${exclusiveMinimum}`);
  const [, shortest, longest] = /^\^\S{1,12}\{(\d+),(\d+)\}\$$/.exec(pattern) ?? [];
  return [
    ...(from === undefined || maximum === undefined ? [] : [`${from} to ${shown(maximum)}`]),
    ...(maxItems === undefined ? [] : [`${minItems} to ${shown(maxItems)} ${elements}`]),
    ...(maxLength === undefined ? [] : [`at most ${shown(maxLength)} characters`]),
    ...(longest === undefined ? [] : [`${shortest} to ${longest} characters`]),
    ...PATTERNS.flatMap(([part, words]) => (part.test(pattern) ? [words] : [])),
    ...anyOf.flatMap((each) => rangesOf(each, elements)),
  ];
}
