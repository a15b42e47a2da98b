// A policy in old words, in the words of today. Only the words that changed are touched: comments, order, quotes and line
// breaks stay as they are. Which words changed is known by the kernel (kernel/policy/old-words.ts).

import { formatPath } from "../kernel/policy/contradictions.ts";
import { changedMeanings, type Edit, oldWordsIn } from "../kernel/policy/old-words.ts";
import type { Keys } from "../kernel/policy/place.ts";
import { readYaml } from "./yaml-text.ts";
import type { YamlPart } from "./yaml-part.ts";

/** One part of a policy that changed, or has to be changed. */
export interface PolicyChange {
  /** `<source>:<line>:<column>` in the old text. */
  readonly at: string;
  /** As in `limits[0].match`. */
  readonly path: string;
  /** What was done, or what to do. */
  readonly text: string;
}

/** A policy that was rewritten. */
interface UpgradedPolicy {
  /** The new text; the old one where nothing changed. */
  readonly text: string;
  readonly changes: readonly PolicyChange[];
  /** What only a person can decide. It stands as it was. */
  readonly byHand: readonly PolicyChange[];
}

/**
 * Writes a policy in YAML or JSON in the words of today. Its result has nothing left to rewrite. The policy may be wrong.
 *
 * @param source what places name as the origin of the text, such as a file's path
 * @throws MisuseError `invalid-policy` where the text is neither YAML nor JSON
 */
export function upgradePolicy(text: string, source = "policy"): UpgradedPolicy {
  const { value, at, part } = readYaml(text, source, "invalid-policy");
  const words = oldWordsIn(value).map((word) => ({ ...word, place: part(word.keys) }));
  if (words.length === 0) return { text, changes: [], byHand: [] };
  const changeOf = (keys: Keys, note: string) => ({ at: at(keys, "key"), path: formatPath(keys), text: note });
  const changes: PolicyChange[] = [];
  const byHand: PolicyChange[] = [];
  const splices = new Map<number, readonly Splice[]>();
  const startOf = (place: YamlPart | null) => place?.key?.start ?? place?.start ?? 0;
  for (const { keys, edit, hint, now, place } of words.sort(
    (one, other) => startOf(one.place) - startOf(other.place),
  )) {
    if (edit === null || place === null) {
      byHand.push(changeOf(keys, hint));
      continue;
    }
    const within = edit === "remove" || edit.within === undefined ? null : part([...keys, edit.within]);
    const own = splicesOf(text, edit, place, within);
    // What several limits have by an alias or a merge key stands once.
    const others = splices.get(startOf(place));
    splices.set(startOf(place), others ?? own);
    if (others === undefined) changes.push(changeOf(keys, now === null ? "removed" : `now ${now}`));
    else if (JSON.stringify(others) !== JSON.stringify(own))
      byHand.push(changeOf(keys, `${hint} Another limit shares these words and needs others.`));
  }
  const meanings = changedMeanings(value).map(({ keys, hint }) => changeOf(keys, hint));
  return { text: spliced(text, [...splices.values()].flat()), changes, byHand: [...byHand, ...meanings] };
}

interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

function splicesOf(text: string, edit: Edit, place: YamlPart, inner: YamlPart | null): Splice[] {
  const { key, start, end } = place;
  if (edit === "remove") return [removalOf(text, place)];
  const quote = quoteAt(text, key?.start ?? start);
  const replaced = (value: string) => ({ start, end, text: quoted(value, quoteAt(text, start) || quote) });
  if (edit.to === null || key === null) return edit.value === undefined ? [] : [replaced(edit.value)];
  const [to, wrap] = edit.to.map((name) => quoted(name, quote));
  const renamed = { ...key, text: to ?? "" };
  if (edit.value !== undefined) return [renamed, replaced(edit.value)];
  if (inner !== null) {
    const colon = text.indexOf(":", key.end) + 1;
    return [renamed, { start: colon, end, text: ` ${text.slice(inner.start, inner.end)}` }];
  }
  if (wrap === undefined) return [renamed];
  if (!place.isBlock) {
    return [renamed, { start, end: start, text: `{ ${wrap}: ` }, { start: end, end, text: " }" }];
  }
  const lineStart = text.lastIndexOf("\n", key.start - 1) + 1;
  const indent = " ".repeat(key.start - lineStart + 2);
  const line = /\r?\n/.exec(text)?.[0] ?? "\n";
  const lines = [...text.slice(key.end, end).matchAll(/\n(?=[^\r\n])/g)].map(({ index }) => key.end + index + 1);
  return [
    { ...key, text: `${to}:${line}${indent}${wrap}` },
    ...lines.map((start) => ({ start, end: start, text: "  " })),
  ];
}

/** Without an entry of an object. A comment behind it stays. */
function removalOf(text: string, { key, start, end, previousEnd, nextStart }: YamlPart): Splice {
  const from = key?.start ?? start;
  if (nextStart !== null) {
    const between = text.slice(end, nextStart);
    const [gap = ""] = between.includes("#") ? (/^[ \t]*,?[ \t]*/.exec(between) ?? []) : [between];
    return { start: from, end: end + gap.length, text: "" };
  }
  const before = text.slice(previousEnd ?? from, from);
  // From the line's break on: what stands before may be a comment.
  const [gap = ""] = before.includes("#") ? (/\r?\n[ \t]*$/.exec(before) ?? []) : [before];
  return { start: from - gap.length, end, text: "" };
}

/** The quote that a word begins with; nothing for none. */
function quoteAt(text: string, offset: number): string {
  const first = text.charAt(offset);
  return first === '"' || first === "'" ? first : "";
}

function quoted(word: string, quote: string): string {
  return /^\d+$/.test(word) ? word : `${quote}${word}${quote}`;
}

function spliced(text: string, splices: readonly Splice[]): string {
  let done = 0;
  const pieces = [...splices]
    .sort((one, other) => one.start - other.start || one.end - other.end)
    .map(({ start, end, text: piece }) => {
      const before = text.slice(done, Math.max(start, done));
      done = Math.max(end, done);
      return before + piece;
    });
  return pieces.join("") + text.slice(done);
}
