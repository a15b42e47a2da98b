// The log of a service that is a process: lines on stderr, by pino.

import { destination, pino } from "pino";
import type { Log, LogLevel } from "./log.ts";

/** A log on stderr. Requests are logged at `debug`. */
export function createLog(level: LogLevel): Log {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination({ fd: 2, sync: true }));
}
