// The command that would have let a denied call pass.

import { DIMENSIONS } from "../kernel/call.ts";
import { MONEY_UNIT, quantityOf } from "../kernel/quantity.ts";
import type { DecisionEntry, LoggedVerdict } from "./entry.ts";
import { MAX_TEXT } from "./text.ts";

/** Dimensions that have an option of their own. */
const OPTIONS: readonly string[] = DIMENSIONS;
/** What a command may say without quotes. */
const PLAIN = /^[\w.:/@%+,-]+$/;
/** The command that grants units to the bucket of a verdict; `null`: the bucket cannot be named from the log. */
export function grantCommandOf(
  entry: DecisionEntry,
  { limit, unit, per }: LoggedVerdict,
  units: number,
): string | null {
  const parts = per.map((name): string | null => {
    const value = name === "tool" ? entry.tool : entry.dimensions[name];
    // A value that was cut does not name its bucket.
    if (value === undefined || value.length >= MAX_TEXT) return null;
    if (!OPTIONS.includes(name)) return `--dimension ${quoted(`${name}=${value}`)}`;
    // A value that begins with a hyphen would be read as an option.
    return `--${name}${value.startsWith("-") ? "=" : " "}${quoted(value)}`;
  });
  if (parts.includes(null)) return null;
  const how = unit === MONEY_UNIT ? quoted(quantityOf(units, unit)) : String(units);
  return ["tollgate grant", `--limit ${limit}`, ...parts, `--units ${how}`, "--duration 1h"].join(" ");
}

/** A word of a shell. */
function quoted(value: string): string {
  return PLAIN.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}
