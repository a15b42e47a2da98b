// Texts of calls as a log has them: bounded, so that no caller fills the log with one value.

import type { Call } from "../kernel/call.ts";

/** Longest value of a dimension, in characters. */
export const MAX_TEXT = 200;

/** A value of a dimension; the empty text where there is none. */
export function textOf(value: unknown): string {
  if (typeof value === "string") return storable(value.length <= MAX_TEXT ? value : value.slice(0, MAX_TEXT));
  return value === undefined || value === null ? "" : String(value).slice(0, MAX_TEXT);
}

/** Whose call it is, and of what tool. The empty text where it does not say. */
export interface Whose {
  readonly tool: string;
  readonly tenant: string;
  readonly session: string;
  readonly user: string;
}

export function whoseOf({ tool, tenant, session, user }: Call): Whose {
  return { tool: textOf(tool), tenant: textOf(tenant), session: textOf(session), user: textOf(user) };
}

/** A text that every storage takes: without lone surrogates and without NUL. */
export function storable(text: string): string {
  if (text.isWellFormed() && !text.includes("\0")) return text;
  return text.toWellFormed().replaceAll("\0", "\ufffd");
}

/** A number from 0 to below 2^32 that is the same for the same text, on every instance (FNV-1a, mixed). */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
