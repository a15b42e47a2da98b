// What a decision log tells the listeners of its limiters.

/** What happened to a log: once for each outage. */
export type LogEvent =
  | { readonly type: "log.unreachable"; readonly storage: string; readonly error: unknown }
  | {
      readonly type: "log.recovered";
      readonly storage: string;
      readonly awayMs: number;
      /** Entries that were lost meanwhile. Counts are exact. */
      readonly dropped: number;
    };
