// What a server of a cluster says about all servers, as CLUSTER NODES writes it.

import { HASH_SLOTS } from "./hash-slot.ts";

/** The first and the last of some slots. */
export type SlotRange = readonly [from: number, to: number];

export interface ClusterReplica {
  readonly host: string;
  /** Host and port. */
  readonly address: string;
}

export interface ClusterMaster extends ClusterReplica {
  readonly slots: readonly SlotRange[];
  /** Whether most masters cannot reach it. */
  readonly isDown: boolean;
  /** Those that can be reached. */
  readonly replicas: readonly ClusterReplica[];
}

interface Line {
  readonly id: string;
  readonly server: ClusterReplica;
  readonly flags: ReadonlySet<string>;
  readonly masterId: string;
  readonly isLinked: boolean;
  readonly slots: readonly SlotRange[];
}

/** The masters that have slots, each with its replicas, in the order of their slots. */
export function mastersIn(nodes: string): ClusterMaster[] {
  const lines = nodes
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map(readLine);
  return lines
    .filter(({ flags, slots }) => flags.has("master") && slots.length > 0)
    .toSorted((a, b) => firstOf(a) - firstOf(b))
    .map(({ id, server, flags, slots }) => ({
      ...server,
      slots,
      isDown: flags.has("fail"),
      replicas: lines.filter((line) => line.masterId === id && isReachable(line)).map((line) => line.server),
    }));
}

function firstOf({ slots: [first] }: Line): number {
  return first?.[0] ?? 0;
}

function isReachable({ flags, isLinked }: Line): boolean {
  return isLinked && !flags.has("fail") && !flags.has("fail?");
}

function readLine(line: string): Line {
  const [id = "", where = "", flags = "", masterId = "", , , , link = "", ...slots] = line.trim().split(" ");
  return {
    id,
    server: readAddress(where),
    flags: new Set(flags.split(",")),
    masterId,
    isLinked: link === "connected",
    // A slot that moves stands in square brackets beside those that the server has.
    slots: slots.filter((range) => !range.startsWith("[")).map(readRange),
  };
}

/** `IP:PORT@BUS-PORT`, and perhaps `,HOSTNAME` and more. A server that does not know its own IP leaves it out. */
function readAddress(where: string): ClusterReplica {
  const [, ip = "", port = "", name = ""] = /^(.*):(\d+)(?:@\d+)?(?:,([^,]*))?/.exec(where) ?? [];
  const host = ip === "" ? name : ip;
  return { host, address: `${host}:${port}` };
}

function readRange(range: string): SlotRange {
  const [from = 0, to = from] = range.split("-").map(Number);
  return [from, to];
}

/** The slots that none of these masters has. */
export function slotsWithout(masters: readonly ClusterMaster[]): SlotRange[] {
  const missing: SlotRange[] = [];
  let next = 0;
  for (const [from, to] of masters.flatMap(({ slots }) => slots).toSorted(([a], [b]) => a - b)) {
    if (from > next) missing.push([next, from - 1]);
    next = Math.max(next, to + 1);
  }
  if (next < HASH_SLOTS) missing.push([next, HASH_SLOTS - 1]);
  return missing;
}

export function countSlots(ranges: readonly SlotRange[]): number {
  return ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0);
}

export function formatSlots(ranges: readonly SlotRange[]): string {
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}
