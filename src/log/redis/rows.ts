// Rows of minutes as the hashes have them.

import type { MinuteCount, MinuteTop, SessionSum } from "../storage.ts";

export function minuteCountOf(minute: number, name: string, counts: string): MinuteCount {
  const [limit, unit, tool, tenant] = JSON.parse(name) as [string, string, string, string];
  const [calls = 0, denied = 0, exceeded = 0, units = 0, logged = 0, dropped = 0] = counts.split(" ").map(Number);
  return { minute, limit, unit, tool, tenant, calls, denied, exceeded, units, logged, dropped };
}

export function minuteTopOf(minute: number, name: string, counts: string): MinuteTop {
  const [dimension, unit, value, tenant] = JSON.parse(name) as ["session" | "user", string, string, string];
  const [calls = 0, denied = 0, units = 0, error = 0] = counts.split(" ").map(Number);
  return { minute, dimension, unit, value, tenant, calls, denied, units, error };
}

export function sessionOf(name: string, text: string): SessionSum {
  const [session = "", tenant = ""] = name.split("\0");
  const [, first, last, calls, denied, user = "", limit = ""] =
    /^(\d+) (\d+) (\d+) (\d+) ([^\0]*)\0(.*)$/s.exec(text) ?? [];
  return {
    session,
    tenant,
    user,
    firstMs: Number(first),
    lastMs: Number(last),
    calls: Number(calls),
    denied: Number(denied),
    deniedBy: limit === "" ? null : limit,
  };
}
