// The timeline: a page of what was, and from then on what comes, newest first. While a row is being read, new entries wait.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Decisions } from "./answers.ts";
import { type ApiError, get } from "./api.ts";
import type { Params } from "./address.ts";
import { filterKeyOf, queryOf } from "./filters.ts";
import { aMoment, untilVisible } from "./moments.ts";
import { EMPTY, firstPage, olderThan, ROOM, type Timeline, withNew, withOlder } from "./timeline.ts";

const PAGE_SIZE = 50;
/** Most entries that are shown when older ones were asked for. */
const MOST = 1_000;
/** So long the service may wait for an entry. */
const WAIT_MS = 10_000;
/** Between two answers with entries, so that the browser has time to draw them. */
const DRAW_MS = 150;
/** Between two answers of a service that does not wait. */
const EVERY_MS = 500;
const SLOWEST_MS = 15_000;

interface Shown extends Timeline {
  readonly key: string;
  readonly error: ApiError | null;
  readonly isLoading: boolean;
}

export interface Feed extends Pick<Shown, "items" | "error" | "isLoading"> {
  /** How many entries wait. */
  readonly waiting: number;
  readonly showWaiting: () => void;
  /** `null`: there are no older ones. */
  readonly loadOlder: (() => Promise<void>) | null;
}

/** @param isHeld whether new entries wait instead of moving the list */
export function useFeed(params: Params, isLive: boolean, isHeld: boolean): Feed {
  const key = filterKeyOf(params);
  const [shown, setShown] = useState<Shown>({ ...EMPTY, key, error: null, isLoading: true });
  const held = useRef(isHeld);
  held.current = isHeld;
  useEffect(() => {
    const stop = new AbortController();
    let after: string | null = null;
    const first = async () => {
      const query = { ...queryOf(params, Date.now()), pageSize: PAGE_SIZE };
      const page = await get<Decisions>("decisions", query, stop.signal);
      after = page.lastPosition;
      setShown({ ...firstPage(page), key, error: null, isLoading: false });
      return DRAW_MS;
    };
    const more = async (position: string) => {
      const { fromMs: _, ...query } = queryOf(params, Date.now());
      const askedMs = performance.now();
      const asked = { ...query, after: position, waitMs: WAIT_MS, pageSize: ROOM };
      const page = await get<Decisions>("decisions", asked, stop.signal);
      // Too many came at once to show them all: the newest are what matters.
      if (page.nextCursor !== null && !held.current) return first();
      after = page.nextCursor ?? page.lastPosition;
      setShown((before) => ({ ...before, ...withNew(before, page.items.toReversed(), held.current), error: null }));
      if (page.items.length > 0) return DRAW_MS;
      return performance.now() - askedMs < EVERY_MS ? EVERY_MS : 0;
    };
    const follow = async () => {
      let failures = 0;
      while (!stop.signal.aborted) {
        let pauseMs = EVERY_MS;
        try {
          if (after !== null) await untilVisible(stop.signal);
          pauseMs = await (after === null ? first() : more(after));
          failures = 0;
        } catch (error) {
          if (stop.signal.aborted) return;
          pauseMs = Math.min(EVERY_MS * 2 ** ++failures, SLOWEST_MS);
          setShown((before) => ({ ...before, error: error as ApiError, isLoading: false }));
        }
        if (!isLive && after !== null) return;
        await aMoment(pauseMs, stop.signal);
      }
    };
    setShown({ ...EMPTY, key, error: null, isLoading: true });
    void follow();
    return () => stop.abort();
  }, [key, isLive]);
  const loadOlder = async () => {
    const query = { ...queryOf(params, Date.now()), ...olderThan(shown), pageSize: PAGE_SIZE };
    try {
      const { items, nextCursor } = await get<Decisions>("decisions", query);
      setShown((now) => (now.key === key ? { ...now, ...withOlder(now, items, nextCursor), error: null } : now));
    } catch (error) {
      setShown((now) => ({ ...now, error: error as ApiError }));
    }
  };
  const { items, waiting, nextCursor, error, isLoading } = shown;
  return {
    items,
    error,
    isLoading,
    waiting: waiting.length,
    showWaiting: () => setShown((now) => ({ ...now, ...withNew(now, [], false) })),
    loadOlder: nextCursor === null || items.length >= MOST ? null : loadOlder,
  };
}
