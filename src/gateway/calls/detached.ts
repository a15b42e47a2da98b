// Calls whose stream ended before their answer (legacy): they go on while a resumed stream of their session is open here, and for
// two minutes after that.

import { setTimer, type Timer } from "../../clock.ts";
import type { Origin } from "../contract.ts";
import { type LiveCall, MOST_CALLS } from "./live.ts";

const GRACE_MS = 120_000;

/** The detached calls of a session, and its resumed streams. */
interface Session {
  readonly calls: Set<LiveCall>;
  streams: number;
  timer: Timer | null;
}

export class Detached {
  readonly #sessions = new Map<string, Session>();

  add(call: LiveCall): void {
    const session = this.#sessionOf(keyOf(call.origin));
    // Without room for its session the call ends now.
    if (session === null) return void call.end("held", null);
    session.calls.add(call);
    this.#wait(session);
  }

  has(call: LiveCall): boolean {
    return this.#sessions.get(keyOf(call.origin))?.calls.has(call) === true;
  }

  remove(call: LiveCall): void {
    const key = keyOf(call.origin);
    const session = this.#sessions.get(key);
    if (session?.calls.delete(call)) this.#forget(key, session);
  }

  /** A resumed stream opens. Returns what is called when it closes. */
  opens(origin: Origin): () => void {
    const key = keyOf(origin);
    const session = this.#sessionOf(key);
    if (session === null) return () => {};
    session.streams++;
    session.timer?.cancel();
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      session.streams--;
      this.#wait(session);
      this.#forget(key, session);
    };
  }

  #sessionOf(key: string): Session | null {
    const known = this.#sessions.get(key);
    if (known !== undefined) return known;
    if (this.#sessions.size >= MOST_CALLS) return null;
    const session: Session = { calls: new Set(), streams: 0, timer: null };
    this.#sessions.set(key, session);
    return session;
  }

  /** Ends the calls of a session without a stream, after a while. */
  #wait(session: Session): void {
    const [first] = session.calls;
    if (session.streams > 0 || first === undefined) return;
    session.timer?.cancel();
    session.timer = setTimer(first.clock, GRACE_MS, () => {
      for (const call of session.calls) void call.end("held", null);
    });
    session.timer.unref?.();
  }

  #forget(key: string, session: Session): void {
    if (session.calls.size > 0) return;
    session.timer?.cancel();
    if (session.streams === 0) this.#sessions.delete(key);
  }
}

function keyOf({ server, scope }: Origin): string {
  return JSON.stringify([server, scope]);
}
