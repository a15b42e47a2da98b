// What things of a server are called at the merged address. Names of servers have neither `_`, `:` nor `/`, so that the first one
// divides each name in one way, and no table of names is needed.

/** Providers of models cut longer names, or refuse them. */
const MOST_NAME = 64;

/** The part of a name that is the server's, and the rest as the server knows it. */
export interface Divided {
  readonly server: string;
  readonly own: string;
}

/** `null`: it is too long. */
export function mergedName(server: string, tool: string): string | null {
  const name = `${server}_${tool}`;
  return name.length > MOST_NAME ? null : name;
}

/** The tool of a name that `mergedName` gives; `null`: it gives no such name. */
export function dividedName(name: string): Divided | null {
  return name.length > MOST_NAME ? null : divided(name, "_");
}

/** The id of a server's request, as JSON: ids of two servers may be equal. */
export function mergedId(server: string, rawId: string): string {
  return JSON.stringify(`${server}:${rawId}`);
}

export function dividedId(rawId: string): Divided | null {
  const id = rawId.startsWith('"') ? divided(JSON.parse(rawId), ":") : null;
  return id !== null && isId(id.own) ? id : null;
}

/** The id of an event: with `:` of the stream of one request, with `/` of streams that are joined. */
export function mergedEventId(server: string, id: string, isJoined: boolean): string {
  return `${server}${isJoined ? "/" : ":"}${id}`;
}

export function dividedEventId(id: string): (Divided & { readonly isJoined: boolean }) | null {
  const isJoined = /^[^:/]*\//.test(id);
  const found = divided(id, isJoined ? "/" : ":");
  return found === null ? null : { ...found, isJoined };
}

function divided(name: string, mark: string): Divided | null {
  const at = name.indexOf(mark);
  return at < 1 || at === name.length - 1 ? null : { server: name.slice(0, at), own: name.slice(at + 1) };
}

/** Whether a text is a JSON string or number. */
function isId(text: string): boolean {
  if (!/^["\d-]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
