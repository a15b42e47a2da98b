// Which slot of a cluster a key is in.

import { tagOf } from "../../kernel/key.ts";

/** What decides a key's slot: what stands between braces, else all of it. */
export function slotTag(key: string): string {
  const tag = key.includes("{") ? tagOf(key) : "";
  return tag === "" ? key : tag;
}
