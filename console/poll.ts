// Asks again and again while the page is shown.

import { useEffect, useState } from "preact/hooks";
import type { ApiError } from "./api.ts";

export interface Polled<Answer> {
  readonly data: Answer | null;
  /** Of the last try; `null`: it was answered. */
  readonly error: ApiError | null;
  /** Asks at once. */
  readonly again: () => void;
}

/** Longest time between two tries when the service does not answer. */
const SLOWEST_MS = 15_000;

/** @param key what is asked: another key starts again */
export function usePoll<Answer>(
  load: (signal: AbortSignal) => Promise<Answer>,
  everyMs: number,
  key = "",
): Polled<Answer> {
  const [known, setKnown] = useState<{ key: string; data: Answer | null; error: ApiError | null }>({
    key,
    data: null,
    error: null,
  });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;
    let isAsking = false;
    const ask = async () => {
      if (isAsking) return;
      isAsking = true;
      clearTimeout(timer);
      if (!document.hidden) {
        try {
          const data = await load(stop.signal);
          failures = 0;
          setKnown({ key, data, error: null });
        } catch (error) {
          if (stop.signal.aborted) return;
          failures++;
          setKnown((before) => ({ key, data: before.key === key ? before.data : null, error: error as ApiError }));
        }
      }
      isAsking = false;
      if (!stop.signal.aborted)
        timer = setTimeout(ask, Math.min(everyMs * 2 ** failures, Math.max(everyMs, SLOWEST_MS)));
    };
    const onShown = () => {
      if (!document.hidden) void ask();
    };
    document.addEventListener("visibilitychange", onShown);
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onShown);
    };
  }, [key, everyMs, round]);
  const isOf = known.key === key;
  return { data: isOf ? known.data : null, error: isOf ? known.error : null, again: () => setRound(round + 1) };
}
