// What the service logs, as JSON lines: methods, paths, statuses, times, and ids of keys and requests; never a body, a header or
// a dimension's value.

/** What the service logs to, such as pino. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  isLevelEnabled(level: string): boolean;
}

/** From the one that logs most. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];
