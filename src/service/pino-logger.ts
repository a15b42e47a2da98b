// The logger of a service that is a process: lines on stderr, by pino.

import { destination, pino } from "pino";
import type { Logger, LogLevel } from "./logger.ts";

/** A logger on stderr. Requests are logged at `debug`. */
export function createLogger(level: LogLevel): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination({ fd: 2, sync: true }));
}
