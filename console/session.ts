// Who is signed in. The service decides what a key may do; the console only leaves out what it would refuse.

import { signal } from "@preact/signals";
import { type ApiError, get, storedKey, storeKey, whenRefused } from "./api.ts";
import type { Me } from "./answers.ts";

export type Session =
  | { readonly is: "connecting" }
  /** A key is needed. `note`: why the one before was refused. */
  | { readonly is: "out"; readonly note: string | null }
  | { readonly is: "away"; readonly note: string }
  | { readonly is: "in"; readonly me: Me };

export const session = signal<Session>({ is: "connecting" });

const NO_KEY = "This is not an API key of Tollgate. Paste what `tollgate keys create` printed: it begins with tg_.";

whenRefused((error) => {
  const key = storedKey();
  storeKey(null);
  const note = key !== null && !/^tg_.+_/.test(key) ? NO_KEY : error.message;
  session.value = { is: "out", note: key === null ? null : note };
});

/** Asks the service who this is. */
export async function connect(): Promise<void> {
  try {
    session.value = { is: "in", me: await get<Me>("me") };
  } catch (error) {
    const { status, message } = error as ApiError;
    if (status === 401) return;
    const note = status === 404 ? "This service has no console: it lacks the route /v1/me." : message;
    session.value = { is: "away", note };
  }
}

export function signIn(key: string): Promise<void> {
  storeKey(key.trim());
  return connect();
}

export function signOut(): void {
  storeKey(null);
  session.value = { is: "out", note: null };
}

export function mayRead(me: Me): boolean {
  return me.scopes.includes("read");
}

export function mayAdminister(me: Me): boolean {
  return me.scopes.includes("admin");
}
