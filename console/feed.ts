// The timeline: a page of what was, and from then on what comes, newest first. While a row is being read, new entries wait.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Decisions, LogEntry } from "./answers.ts";
import { type ApiError, get } from "./api.ts";
import type { Params } from "./address.ts";
import { filterKeyOf, queryOf } from "./filters.ts";

/** Most entries that are shown. */
const MOST = 500;
const PAGE_SIZE = 50;
const EVERY_MS = 500;
const SLOWEST_MS = 15_000;

interface Shown {
  readonly key: string;
  readonly items: readonly LogEntry[];
  /** Entries that came while the list stood still. */
  readonly waiting: readonly LogEntry[];
  readonly nextCursor: string | null;
  readonly error: ApiError | null;
}

export interface Feed extends Omit<Shown, "key" | "waiting"> {
  readonly isLoading: boolean;
  /** How many entries wait. */
  readonly waiting: number;
  readonly showWaiting: () => void;
  readonly loadOlder: () => Promise<void>;
}

const NOTHING = { items: [], waiting: [], nextCursor: null, error: null };

/** @param isHeld whether new entries wait instead of moving the list */
export function useFeed(params: Params, isLive: boolean, isHeld: boolean): Feed {
  const key = filterKeyOf(params);
  const [shown, setShown] = useState<Shown & { readonly isLoading: boolean }>({ ...NOTHING, key, isLoading: true });
  const held = useRef(isHeld);
  held.current = isHeld;
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let after: string | null = null;
    let failures = 0;
    const first = async () => {
      const page = await get<Decisions>(
        "decisions",
        { ...queryOf(params, Date.now()), pageSize: PAGE_SIZE },
        stop.signal,
      );
      after = page.lastPosition;
      setShown({ ...NOTHING, key, items: page.items, nextCursor: page.nextCursor, isLoading: false });
    };
    const more = async () => {
      const { fromMs: _, ...query } = queryOf(params, Date.now());
      const page: Decisions = await get<Decisions>(
        "decisions",
        { ...query, after: after ?? "", pageSize: MOST },
        stop.signal,
      );
      after = page.lastPosition;
      setShown((before) => withNew(before, page.items.toReversed(), held.current));
    };
    const ask = async () => {
      try {
        if (!document.hidden || after === null) await (after === null ? first() : more());
        failures = 0;
      } catch (error) {
        if (stop.signal.aborted) return;
        failures++;
        setShown((before) => ({ ...before, error: error as ApiError, isLoading: false }));
      }
      if (stop.signal.aborted || (!isLive && after !== null)) return;
      timer = setTimeout(ask, Math.min(EVERY_MS * 2 ** failures, SLOWEST_MS));
    };
    setShown({ ...NOTHING, key, isLoading: true });
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key, isLive]);
  const loadOlder = async () => {
    const query = { ...queryOf(params, Date.now()), cursor: shown.nextCursor ?? "", pageSize: PAGE_SIZE };
    try {
      const { items, nextCursor } = await get<Decisions>("decisions", query);
      setShown((now) => (now.key === key ? { ...now, items: [...now.items, ...items], nextCursor, error: null } : now));
    } catch (error) {
      setShown((now) => ({ ...now, error: error as ApiError }));
    }
  };
  return {
    ...shown,
    waiting: shown.waiting.length,
    showWaiting: () => setShown((now) => withNew({ ...now, waiting: [] }, now.waiting, false)),
    loadOlder,
  };
}

/** The list with entries that came, the newest first. None stands there twice. */
function withNew<State extends Shown>(before: State, came: readonly LogEntry[], isHeld: boolean): State {
  const waiting = [...came, ...before.waiting];
  if (isHeld) return { ...before, error: null, waiting: waiting.slice(0, MOST) };
  const known = new Set(before.items.slice(0, MOST).map(({ id }) => id));
  const fresh = waiting.filter(({ id }) => !known.has(id));
  if (fresh.length === 0) return { ...before, error: null, waiting: [] };
  return { ...before, error: null, waiting: [], items: [...fresh, ...before.items].slice(0, MOST) };
}
