// The replicas of a cluster's masters, how closely they follow, and what a failover may lose.

import type { SetupCheck } from "../../store/store.ts";
import type { ClusterMaster } from "./cluster-nodes.ts";
import type { ClusterSetup, MasterAnswer } from "./cluster-servers.ts";
import { fieldIn, joined } from "./server-checks.ts";

/** A replica confirms what it has received once a second. */
const USUAL_LAG_S = 1;
const MEGABYTE = 1_000_000;

/** What a master says of its replicas. */
interface Replication {
  readonly address: string;
  /** Of the replica that has most: since when it has confirmed nothing, and how much is missing; `null` when none follows. */
  readonly closest: { readonly lagS: number; readonly bytes: number } | null;
  /** How many replicas follow closely enough for the master; `null` where it counts without one, too. */
  readonly good: number | null;
}

export function replicasCheck({ masters }: ClusterSetup, answers: readonly MasterAnswer[]): SetupCheck {
  const alone = masters.filter(({ isDown, replicas }) => !isDown && replicas.length === 0);
  const close = masters.filter(
    ({ host, replicas }) => replicas.length > 0 && replicas.every((each) => each.host === host),
  );
  const unfollowed = replicationsOf(answers).filter(({ closest }) => closest === null);
  const problems = [noReplica(addressesOf(alone)), sameHost(addressesOf(close)), noneFollows(addressesOf(unfollowed))];
  return { name: "replicas", value: `${countsOf(masters)}${lagOf(answers)}`, problem: joined(problems) };
}

function countsOf(masters: readonly ClusterMaster[]): string {
  const counts = new Set(masters.map(({ replicas }) => replicas.length));
  const [count = 0] = counts;
  if (counts.size === 1) return `${count === 0 ? "none" : count} for each master`;
  return masters.map(({ address, replicas }) => `${replicas.length} for ${address}`).join(", ");
}

/** In whole numbers that stay the same from one reading to the next: a change is reported as an event. */
function lagOf(answers: readonly MasterAnswer[]): string {
  const found = replicationsOf(answers).flatMap(({ closest }) => closest ?? []);
  if (found.length === 0) return "";
  const lagS = Math.max(...found.map((each) => each.lagS));
  const megabytes = Math.floor(Math.max(...found.map(({ bytes }) => bytes)) / MEGABYTE);
  const late = lagS > USUAL_LAG_S ? `${lagS} s behind` : `at most ${USUAL_LAG_S} s behind`;
  return `, ${late}${megabytes === 0 ? "" : ` and ${megabytes} MB`}`;
}

export function failoverCheck({ masters, settings }: ClusterSetup, answers: readonly MasterAnswer[]): SetupCheck {
  const name = "failover";
  if (masters.every(({ replicas }) => replicas.length === 0)) {
    return { name, value: "none, because no master has a replica", problem: null };
  }
  const found = replicationsOf(answers);
  const isBounded = found.length > 0 && found.every(({ good }) => good !== null);
  const wanted = Number(settings["min-replicas-to-write"] ?? Number.NaN);
  const problems = [
    tooFew(addressesOf(found.filter(({ good }) => good !== null && good < wanted))),
    unbounded(addressesOf(found.filter(({ good }) => good === null))),
  ];
  return { name, value: outcome(settings, isBounded), problem: joined(problems) };
}

function outcome(settings: ClusterSetup["settings"], isBounded: boolean): string {
  const { "cluster-node-timeout": timeoutMs, "min-replicas-max-lag": lagS } = settings;
  const after = timeoutMs === undefined ? "" : ` about ${Number(timeoutMs) / 1_000} s after its master fails`;
  const bound = isBounded && lagS !== undefined ? `, at most those of the last ${lagS} s` : "";
  return `a replica takes over${after}, without the calls that it has not received yet${bound}`;
}

function replicationsOf(answers: readonly MasterAnswer[]): Replication[] {
  return answers
    .filter(({ master }) => master.replicas.length > 0)
    .map(({ master: { address }, info }) => {
      const written = Number(fieldIn(info, "master_repl_offset"));
      const closest = [...info.matchAll(/^slave\d+:.*state=online,offset=(\d+),lag=(-?\d+)/gm)]
        .map(([, offset, lag]) => ({ lagS: Number(lag), bytes: Math.max(0, written - Number(offset)) }))
        .toSorted((a, b) => a.bytes - b.bytes || a.lagS - b.lagS)[0];
      const good = fieldIn(info, "min_slaves_good_slaves");
      return { address, closest: closest ?? null, good: good === undefined ? null : Number(good) };
    });
}

function addressesOf(servers: readonly { readonly address: string }[]): string {
  return servers.map(({ address }) => address).join(", ");
}

function noReplica(addresses: string): string | null {
  const problem = `no replica can take over from ${addresses}: give each master a replica`;
  return addresses === "" ? null : problem;
}

function sameHost(addresses: string): string | null {
  const problem = `all replicas of ${addresses} are on the host of their master, and fail with it: move them to another host`;
  return addresses === "" ? null : problem;
}

function noneFollows(addresses: string): string | null {
  const problem = `no replica follows ${addresses} now, so a failover forgets the calls from now on: see the log of the replica`;
  return addresses === "" ? null : problem;
}

function tooFew(addresses: string): string | null {
  const problem = `${addresses}: fewer replicas follow than min-replicas-to-write asks for, so calls are refused there: bring the replicas back, or lower it`;
  return addresses === "" ? null : problem;
}

function unbounded(addresses: string): string | null {
  const problem =
    "a master that its replicas cannot reach goes on counting, and a failover forgets all of those calls: set min-replicas-to-write to 1 " +
    "and min-replicas-max-lag to 10";
  return addresses === "" ? null : problem;
}
