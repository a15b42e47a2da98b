// What script/beat.lua does for a shard of a cluster.

import { encodeMark } from "../../../src/kernel/encoding/mark.ts";
import type { StoreServer } from "../server.ts";

/** Where the keys begin with the group's name, and those of the buckets. */
const NAMES_AT = 2;
const SEEN_AT = 4;

/** @param args how many keys there are, the keys, and the script's argument */
export function beatScript(server: StoreServer, args: readonly (string | number)[]): unknown[] {
  const count = Number(args[0]);
  const keys = args.slice(1, count + 1).map((key) => withoutShard(String(key)));
  const [instance, livesMs, , hasSeen] = JSON.parse(String(args[count + 1]));
  const nowMs = server.nowMs();
  const mark = server.markIn(server.node.process, hasSeen === 1, keys.slice(SEEN_AT));
  if (mark === null) return [nowMs];
  const text = encodeMark(mark);
  if (instance === "") return [nowMs, 1, 0, text];
  const { instances, rank } = server.count({ group: String(keys[NAMES_AT]), instance, livesMs }, mark);
  return [nowMs, instances, rank, text];
}

/** The prefix of a shard: in the simulation each shard has a server of its own. */
export function prefixOf(shard: number): string {
  return `{shard ${shard}}:`;
}

function withoutShard(key: string): string {
  return key.slice(key.indexOf("}:") + 2);
}
