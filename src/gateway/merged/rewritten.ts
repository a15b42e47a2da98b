// What a message becomes on its way between a client and one of several servers. All bytes that are not named here stay.

import type { Message, Span } from "../contract.ts";
import { OPEN_OBJECT, scanObject, skipValue } from "../json/scan.ts";
import { type Change, removal, splice } from "../json/splice.ts";
import { readMessage } from "../message.ts";
import { dataOf, withData, withId } from "../sse.ts";
import { dividedId, mergedEventId, mergedId } from "./names.ts";

const CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";
const TASKS = "io.modelcontextprotocol/tasks";

/** A call for its server: by the server's own name, and without what lets it answer with a task, whose polls have no server. */
export function callOf(message: Message, name: string): Message {
  const { bytes, spans } = message;
  const changes = [{ at: spans.get("params.name") as Span, text: JSON.stringify(name) }];
  const task = spans.get("params.task") ?? null;
  const declared = memberAt(bytes, spans.get("params._meta"), CAPABILITIES, "extensions", TASKS);
  for (const span of [task, declared]) if (span !== null) changes.push(removal(bytes, span));
  return changed(message, changes);
}

/** The message with the id that its server gave. */
export function withOwnId(message: Message, key: "id" | "params.progressToken", own: string): Message {
  return changed(message, [{ at: message.spans.get(key) as Span, text: own }]);
}

/** Which server's request a client's progress is about; `null`: it is not known. */
export function progressOf({ method, bytes, spans }: Message): ReturnType<typeof dividedId> {
  const token = method === "notifications/progress" ? spans.get("params.progressToken") : undefined;
  return token === undefined ? null : dividedId(bytes.toString("utf8", token.from, token.to));
}

/** An event of a server with names that the client can tell apart: its own id, and those of the server's requests. */
export function renamedEvent(event: Buffer, said: Message | null, server: string, isJoined: boolean): Buffer {
  const named = withId(event, (id) => mergedEventId(server, id, isJoined));
  if (said === null || dataOf(event) === null) return named;
  const changes = idsIn(said).map((at) => ({
    at,
    text: mergedId(server, said.bytes.toString("utf8", at.from, at.to)),
  }));
  return changes.length === 0 ? named : withData(named, splice(said.bytes, sorted(changes)));
}

/** Where ids stand that are the server's. */
function idsIn({ kind, method, bytes, spans }: Message): Span[] {
  // A server cancels what it has asked itself.
  const cancelled = method === "notifications/cancelled" ? spans.get("params.requestId") : undefined;
  if (kind !== "request") return cancelled === undefined ? [] : [cancelled];
  const token = memberAt(bytes, spans.get("params._meta"), "progressToken");
  return [spans.get("id") as Span, ...(token === null ? [] : [token])];
}

function changed({ bytes }: Message, changes: Change[]): Message {
  return readMessage(splice(bytes, sorted(changes)), "client");
}

function sorted(changes: Change[]): Change[] {
  return changes.sort((one, other) => one.at.from - other.at.from);
}

/** Where a value stands within objects; `null`: it is absent. */
function memberAt(bytes: Buffer, object: Span | undefined, key: string, ...inner: readonly string[]): Span | null {
  if (object === undefined || bytes[object.from] !== OPEN_OBJECT) return null;
  let found: Span | undefined;
  scanObject(bytes, object.from, (name, from) => {
    const to = skipValue(bytes, from);
    if (name === key) found = { from, to };
    return to;
  });
  const [next, ...others] = inner;
  return next === undefined ? (found ?? null) : memberAt(bytes, found, next, ...others);
}
