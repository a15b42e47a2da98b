// The ids by which answers and the log name requests: the caller's own, else one of this process.

import { randomId } from "../ids.ts";

export const REQUEST_ID_HEADER = "x-request-id";
const REQUEST_ID = /^[\w.-]{1,64}$/;

const idsByRequest = new WeakMap<Request, string>();
/** Made with the first id: some runtimes refuse random numbers while modules load. */
let processId: string | undefined;
let count = 0;

/** The id of a request; the same each time. `null`: a new one. */
export function requestIdOf(request: Request | null): string {
  const known = request === null ? undefined : idsByRequest.get(request);
  if (known !== undefined) return known;
  const header = request?.headers.get(REQUEST_ID_HEADER) ?? "";
  const id = REQUEST_ID.test(header) ? header : newId();
  if (request !== null) idsByRequest.set(request, id);
  return id;
}

function newId(): string {
  processId ??= randomId().slice(0, 8);
  return `${processId}-${(++count).toString(36)}`;
}
