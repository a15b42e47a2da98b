// A server in a client's configuration, and the changes that put it behind the gateway and take it out again. Only the bytes of its
// command and its arguments change, and what is inserted says by itself what was there: no record is needed to remove it.

import type { Span } from "../../gateway/contract.ts";
import type { Change } from "../../gateway/json/splice.ts";

/** A text in the file. */
export interface Word {
  readonly at: Span;
  readonly value: string;
}

export interface ServerEntry {
  readonly name: string;
  /** `null`: there is none, or it is not a text. */
  readonly command: Word | null;
  /** `null`: there are none. */
  readonly args: { readonly at: Span; readonly items: readonly Word[] } | null;
  /** The address of a remote server. */
  readonly url: string | null;
  /** Where a list of arguments is added when there is none, and the text before the list. */
  readonly slot: { readonly at: number; readonly before: string };
}

/** A word that starts Tollgate, as the file `bin/tollgate.js`, a name on PATH, or a package for npx. */
const TOLLGATE = /(?:^|[\\/])tollgate(?:\.js|\.cmd|@[\w.+-]+)?$/;

/** The place of the server's own command among the arguments, where it is behind the gateway. */
function ownCommandIn({ command, args }: ServerEntry): number | null {
  const items = args?.items ?? [];
  const values = [command?.value ?? "", ...items.map(({ value }) => value)];
  const mcp = values.findIndex((word, i) => word === "mcp" && TOLLGATE.test(values[i - 1] ?? ""));
  // `values` has the command first, so this is the place after the dashes among the arguments.
  const own = mcp === -1 ? -1 : values.indexOf("--", mcp);
  return own === -1 || own >= items.length ? null : own;
}

export function isBehindGateway(entry: ServerEntry): boolean {
  return ownCommandIn(entry) !== null;
}

/** @param gateway the command of the gateway and its arguments, without the dashes */
export function installing(bytes: Buffer, entry: ServerEntry, gateway: readonly [string, ...string[]]): Change[] {
  const { command, args, slot } = entry;
  if (command === null) return [];
  const [program, ...words] = gateway;
  const own = textAt(bytes, command.at);
  const inserted = [...[...words, "--"].map(quoted), own].join(", ");
  const first = args?.items[0];
  const added = (): Change => {
    // No other list has a blank here and nothing after the server's command: so the list itself goes again.
    if (args === null) return { at: empty(slot.at), text: `${slot.before}[ ${inserted}]` };
    if (first === undefined) return { at: empty(args.at.from + 1), text: inserted };
    return { at: empty(first.at.from), text: `${inserted},${gapBefore(bytes, args.at.from + 1, first.at.from)}` };
  };
  return inOrder([{ at: command.at, text: quoted(program) }, added()]);
}

/** The bytes of the file as they were before it was installed, unless a program has formatted them since. */
export function uninstalling(bytes: Buffer, entry: ServerEntry): Change[] {
  const { command, args, slot } = entry;
  const place = ownCommandIn(entry);
  if (command === null || args === null || place === null) return [];
  const [first, own, next] = [args.items[0], args.items[place], args.items[place + 1]] as [Word, Word, Word?];
  const removed = (): Change => {
    if (next !== undefined) return { at: { from: first.at.from, to: next.at.from }, text: "" };
    const wasAdded = textAt(bytes, { from: slot.at, to: first.at.from }) === `${slot.before}[ `;
    if (wasAdded) return { at: { from: slot.at, to: args.at.to }, text: "" };
    // A comma after the last element may not stay alone.
    const isComma = textAt(bytes, { from: own.at.to, to: args.at.to }).includes(",");
    return isComma ? { at: args.at, text: "[]" } : { at: { from: first.at.from, to: own.at.to }, text: "" };
  };
  return inOrder([{ at: command.at, text: textAt(bytes, own.at) }, removed()]);
}

/** White space as it stands before an element; a blank where there is none, or a comment. */
function gapBefore(bytes: Buffer, from: number, to: number): string {
  const gap = textAt(bytes, { from, to });
  return /^\s+$/.test(gap) ? gap : " ";
}

function empty(at: number): Span {
  return { from: at, to: at };
}

function textAt(bytes: Buffer, { from, to }: Span): string {
  return bytes.toString("utf8", from, to);
}

function inOrder(changes: Change[]): Change[] {
  return changes.sort((one, other) => one.at.from - other.at.from);
}

/** A text as JSON and TOML have it. */
function quoted(text: string): string {
  return JSON.stringify(text);
}
