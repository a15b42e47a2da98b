// How the shards are divided among the masters of a cluster, and how fast each master answers.

import type { SetupCheck } from "../../store/store.ts";
import { type ClusterSetup, type MasterAnswer, shardsOn } from "./cluster-servers.ts";
import { joined } from "./server-checks.ts";
import { SHARDS } from "./shards.ts";

/** A master with more than so many times its part of the shards is busier than the others by far. */
const MOST_PARTS = 2;

export function shardsCheck({ masters }: ClusterSetup): SetupCheck {
  const parts = masters
    .filter(({ isDown }) => !isDown)
    .map((master) => ({ address: master.address, shards: shardsOn(master).length }));
  const total = parts.reduce((sum, { shards }) => sum + shards, 0);
  const most = (MOST_PARTS * SHARDS) / parts.length;
  const problems = [
    noShard(parts.filter(({ shards }) => shards === 0).map(({ address }) => address)),
    ...parts.filter(({ shards }) => shards > most).map(({ address, shards }) => tooMany(address, shards, parts.length)),
  ];
  const counts = [...new Set(parts.map(({ shards }) => shards))].toSorted((a, b) => b - a);
  const divided = counts.map((count) => {
    const which = parts.filter(({ shards }) => shards === count).map(({ address }) => address);
    return `${count} (${which.join(", ")})`;
  });
  const share = total === SHARDS ? `${SHARDS}` : `${total} of ${SHARDS}`;
  return { name: "shards", value: `${share}, by master: ${divided.join("; ")}`, problem: joined(problems) };
}

export function readsCheck(answers: readonly MasterAnswer[]): SetupCheck {
  const times = answers.flatMap(({ master: { address }, readMs }) =>
    readMs === null ? [] : [`${Number(readMs.toPrecision(2))} ms (${address})`],
  );
  return { name: "reads", value: times.length === 0 ? "not known" : times.join("; "), problem: null };
}

function noShard(addresses: readonly string[]): string | null {
  const problem =
    `${addresses.join(", ")}: none of the ${SHARDS} shards is there, so no call is decided there: give all masters equally many ` +
    "slots (redis-cli --cluster rebalance), and use at most 32 masters";
  return addresses.length === 0 ? null : problem;
}

function tooMany(address: string, shards: number, masters: number): string {
  const problem =
    `${address} has ${shards} of ${SHARDS} shards, more than twice its part among ${masters} masters, and so more than twice the ` +
    "calls: give all masters equally many slots (redis-cli --cluster rebalance)";
  return problem;
}
