// The log of a Worker: one JSON text a line on the console, whose fields Cloudflare's log viewer can search.

import { LOG_LEVELS, type Logger, type LogLevel } from "../service/logger.ts";

/** A logger on the console. */
export function consoleLogger(least: LogLevel): Logger {
  const isLogged = (level: string) => LOG_LEVELS.indexOf(level as LogLevel) >= LOG_LEVELS.indexOf(least);
  const at = (level: "debug" | "info" | "warn" | "error") => (fields: object, message: string) => {
    if (isLogged(level)) console[level](JSON.stringify({ level, ...fields, msg: message }));
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    isLevelEnabled: isLogged,
  };
}
