// Where the parts of a YAML document stand in its text. Aliases and merge keys are followed: a part that an object has from
// another one stands there.

import { isAlias, isMap, isNode, isScalar, isSeq, visit } from "yaml";
import type { Alias, Node, Pair, Scalar, YAMLMap } from "yaml";
import type { Keys } from "../kernel/policy/place.ts";
import type { YamlPart } from "./yaml-part.ts";

/** A document that was parsed, and what its aliases name; `undefined` where that is unknown. */
export interface Parsed {
  readonly contents: Node | null;
  readonly aliases: ReadonlyMap<Alias, Node | undefined>;
}

/** What a node is, or what it names. */
export function named({ aliases }: Parsed, node: unknown): unknown {
  return isAlias(node) ? aliases.get(node) : node;
}

/** What the aliases of a document name: the last node before them that has their anchor. */
export function aliasesIn(contents: Node | null): Parsed["aliases"] {
  const anchors = new Map<string, Node>();
  const found = new Map<Alias, Node | undefined>();
  visit(contents, {
    Node(_, node) {
      if (isAlias(node)) found.set(node, anchors.get(node.source));
      else if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return found;
}

/** Whether a pair takes the keys of other objects: `<<: *base`. */
export function isMerge(pair: Pair): pair is Pair<Scalar> {
  return isScalar(pair.key) && typeof pair.key.value === "symbol";
}

/**
 * The offset of the value that keys lead to, or of its key. Where there is no such value, the nearest one around it. A value
 * behind an alias stands where its anchor is.
 */
export function offsetOf(document: Parsed, keys: Keys, part: "value" | "key"): number {
  let node: unknown = document.contents;
  let offset = isNode(node) ? node.range?.[0] : 0;
  for (const [n, key] of keys.entries()) {
    const { item, pair } = stepTo(document, node, key);
    node = item;
    const shown = part === "key" && n === keys.length - 1 ? pair?.key : node;
    const start = isNode(shown) ? shown.range?.[0] : isNode(pair?.key) ? pair.key.range?.[0] : undefined;
    if (start === undefined) break;
    offset = start;
  }
  return offset ?? 0;
}

/** The value that keys lead to, and its key; `null` where there is none. */
export function partOf(document: Parsed, text: string, keys: Keys): YamlPart | null {
  let found: Step = { item: document.contents };
  for (const key of keys) found = stepTo(document, found.item, key);
  const { item, pair, around } = found;
  if (!isNode(item) || !item.range) return null;
  const end = endOf(item);
  const isBlock = (isSeq(item) || isMap(item)) && item.flow !== true;
  const plain = { end, isBlock, key: null, start: item.range[0], previousEnd: null, nextStart: null };
  if (pair === undefined || !isScalar(pair.key) || !pair.key.range || around === undefined) return plain;
  const key = { start: pair.key.range[0], end: pair.key.range[1] };
  const n = around.items.indexOf(pair);
  const [before, next] = [around.items[n - 1], around.items[n + 1]];
  return {
    ...plain,
    key,
    start: startOf(text, key.end, item.range[0]),
    previousEnd: before === undefined ? null : endOf(isNode(before.value) ? before.value : before.key),
    nextStart: isNode(next?.key) ? (next.key.range?.[0] ?? null) : null,
  };
}

/** What a key leads to, and where that is an entry of an object, the entry and the object. */
interface Step {
  readonly item: unknown;
  readonly pair?: Pair;
  readonly around?: YAMLMap;
}

function stepTo(document: Parsed, node: unknown, key: string | number): Step {
  const around = named(document, node);
  if (isSeq(around)) return { item: around.items[Number(key)] };
  const found = isMap(around) ? pairIn(document, around, String(key)) : undefined;
  return { item: found?.pair.value, ...found };
}

/** An object's own key, else the one of the first object that it takes keys from. */
function pairIn(
  document: Parsed,
  map: YAMLMap,
  key: string,
): { readonly pair: Pair; readonly around: YAMLMap } | undefined {
  const own = map.items.find((pair) => isScalar(pair.key) && !isMerge(pair) && String(pair.key.value) === key);
  if (own !== undefined) return { pair: own, around: map };
  for (const item of map.items.filter(isMerge).flatMap((pair) => sourcesOf(document, pair))) {
    const source = named(document, item);
    const found = isMap(source) ? pairIn(document, source, key) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What a merge key names: objects, where it is right. */
export function sourcesOf(document: Parsed, { value }: Pair): unknown[] {
  const all = named(document, value);
  return isSeq(all) ? all.items : [value];
}

/** Where a node ends. The library counts comments behind a block as part of it. */
function endOf(node: unknown): number {
  if (isMap(node) && node.flow !== true && node.items.length > 0) {
    const last = node.items.at(-1);
    return endOf(isNode(last?.value) ? last.value : last?.key);
  }
  if (isSeq(node) && node.flow !== true && node.items.length > 0) return endOf(node.items.at(-1));
  return (node as Node).range?.[1] ?? 0;
}

/** Where a value begins behind its key, with its anchor or tag. */
function startOf(text: string, keyEnd: number, valueStart: number): number {
  const between = text.slice(keyEnd, valueStart);
  const found = /^\s*:\s+(?=[&!])/.exec(between);
  return found === null ? valueStart : keyEnd + found[0].length;
}
