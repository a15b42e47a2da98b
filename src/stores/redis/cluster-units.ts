// How the units are divided among the masters of a cluster, and how fast each master answers.

import type { SetupCheck } from "../../store/store.ts";
import { type ClusterSetup, type MasterAnswer, unitsOn } from "./cluster-servers.ts";
import { joined } from "./server-checks.ts";
import { UNITS } from "./units.ts";

/** A master with more than so many times its part of the units is busier than the others by far. */
const MOST_PARTS = 2;

export function unitsCheck({ masters }: ClusterSetup): SetupCheck {
  const parts = masters
    .filter(({ isDown }) => !isDown)
    .map((master) => ({ address: master.address, units: unitsOn(master).length }));
  const total = parts.reduce((sum, { units }) => sum + units, 0);
  const most = (MOST_PARTS * UNITS) / parts.length;
  const problems = [
    noUnit(parts.filter(({ units }) => units === 0).map(({ address }) => address)),
    ...parts.filter(({ units }) => units > most).map(({ address, units }) => tooMany(address, units, parts.length)),
  ];
  const counts = [...new Set(parts.map(({ units }) => units))].toSorted((a, b) => b - a);
  const divided = counts.map((count) => {
    const which = parts.filter(({ units }) => units === count).map(({ address }) => address);
    return `${count} (${which.join(", ")})`;
  });
  const share = total === UNITS ? `${UNITS}` : `${total} of ${UNITS}`;
  return { name: "units", value: `${share}, by master: ${divided.join("; ")}`, problem: joined(problems) };
}

export function readsCheck(answers: readonly MasterAnswer[]): SetupCheck {
  const times = answers.flatMap(({ master: { address }, readMs }) =>
    readMs === null ? [] : [`${Number(readMs.toPrecision(2))} ms (${address})`],
  );
  return { name: "reads", value: times.length === 0 ? "not known" : times.join("; "), problem: null };
}

function noUnit(addresses: readonly string[]): string | null {
  const problem =
    `${addresses.join(", ")}: none of the ${UNITS} units is there, so no call is decided there: give all masters equally many ` +
    "slots (redis-cli --cluster rebalance), and use at most 32 masters";
  return addresses.length === 0 ? null : problem;
}

function tooMany(address: string, units: number, masters: number): string {
  const problem =
    `${address} has ${units} of ${UNITS} units, more than twice its part among ${masters} masters, and so more than twice the ` +
    "calls: give all masters equally many slots (redis-cli --cluster rebalance)";
  return problem;
}
