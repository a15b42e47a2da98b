// Durations as policies write them: `250ms`, `30s`, `5m`, `1h`, `7d`.

/** The units of a duration, the smallest first. */
export const MS_OF = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** What a duration looks like. */
export const DURATION_PATTERN = /^[1-9][0-9]*(ms|s|m|h|d)$/;
/** Longest duration that a policy may name: 36,500 days. */
export const MAX_DURATION_MS = 36_500 * MS_OF.d;
/** The longest delay of a timer: with a longer one it fires at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Milliseconds of a duration, or `null` when the text is not one, or a longer one than `MAX_DURATION_MS`. */
export function parseDuration(text: string): number | null {
  const match = DURATION_PATTERN.exec(text);
  if (match === null) return null;
  const ms = Number.parseInt(text, 10) * MS_OF[match[1] as keyof typeof MS_OF];
  return ms <= MAX_DURATION_MS ? ms : null;
}

type Part = readonly [count: number, unit: "day" | "hour" | "minute" | "second"];

/** A span of at least a second in at most two units, rounded up or down to the smaller one. */
export function inUnits(ms: number, rounding: "up" | "down"): readonly Part[] {
  const round = rounding === "up" ? Math.ceil : Math.floor;
  const seconds = round(ms / 1_000);
  if (seconds < 60) return [[seconds, "second"]];
  const minutes = round(seconds / 60);
  if (minutes < 60) return minutes < 10 ? pair(seconds, 60, "minute", "second") : [[minutes, "minute"]];
  const hours = round(minutes / 60);
  return hours < 48 ? pair(minutes, 60, "hour", "minute") : pair(hours, 24, "day", "hour");
}

function pair(count: number, size: number, large: Part[1], small: Part[1]): Part[] {
  const rest = count % size;
  const parts: Part[] = [
    [(count - rest) / size, large],
    [rest, small],
  ];
  return parts.filter(([count]) => count > 0);
}

const SYMBOLS = { day: "d", hour: "h", minute: "min", second: "s" } as const;

/** A span for people, rounded up to two units at most: `850 ms`, `42 s`, `2 min 5 s`, `3 h 20 min`, `4 d 1 h`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  return inUnits(ms, "up")
    .map(([count, unit]) => `${count} ${SYMBOLS[unit]}`)
    .join(" ");
}
