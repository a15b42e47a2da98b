// What may break a promise on a cluster: by each master's setup, by the slots and by what a failover loses.

import { reasonOf } from "../../kernel/reason.ts";
import type { SetupCheck } from "../../store/store.ts";
import { countSlots, formatSlots, slotsWithout } from "./cluster-nodes.ts";
import type { ClusterSetup } from "./cluster-servers.ts";
import { readsCheck, shardsCheck } from "./cluster-shards.ts";
import { failoverCheck, replicasCheck } from "./replication-checks.ts";
import { HASH_SLOTS } from "./hash-slot.ts";
import { joined, serverChecks, UNKNOWN } from "./server-checks.ts";

export function clusterChecks(setup: ClusterSetup): SetupCheck[] {
  const { answers, settings } = setup;
  const answered = answers.filter((answer) => answer.info !== undefined);
  const byMaster = answered.map(({ info }) => serverChecks(info, settings.appendfsync ?? UNKNOWN));
  const addresses = answered.map(({ master }) => master.address);
  const total = setup.masters.length;
  const ofServers = (byMaster[0] ?? []).map((_, i) => {
    const checks = byMaster.flatMap((each) => each[i] ?? []);
    return together(checks, addresses, total);
  });
  const ofCluster = [slots(setup), shardsCheck(setup), readsCheck(answered)];
  return [...ofServers, ...ofCluster, replicasCheck(setup, answered), failoverCheck(setup, answered)];
}

/** One check for all masters: where they differ, it says which is which. */
function together(checks: readonly SetupCheck[], addresses: readonly string[], total: number): SetupCheck {
  const where = (is: (check: SetupCheck) => boolean) => addresses.filter((_, i) => is(checks[i] as SetupCheck));
  const values = [...new Set(checks.map(({ value }) => value))];
  const found = [...new Set(checks.map(({ problem }) => problem))].filter((problem) => problem !== null);
  return {
    name: checks[0]?.name ?? "",
    value: values.map((value) => `${value} (${namesOf(where((check) => check.value === value))})`).join("; "),
    problem: joined(
      found.map((each) => {
        const which = where((check) => check.problem === each);
        return which.length === addresses.length ? each : `on ${which.join(", ")}, ${each}`;
      }),
    ),
  };

  function namesOf(which: readonly string[]): string {
    if (which.length < addresses.length || total === 1) return which.join(", ");
    return which.length === total ? `all ${total} masters` : `the ${which.length} masters that answer`;
  }
}

function slots({ masters, missing, settings, answers }: ClusterSetup): SetupCheck {
  const served = HASH_SLOTS - countSlots(missing);
  const down = masters.filter(({ isDown }) => isDown);
  const unassigned = slotsWithout(masters);
  const problems = [
    ...down.map(({ address, slots: own }) => downMaster(address, formatSlots(own))),
    unassigned.length === 0 ? null : noServer(formatSlots(unassigned)),
    ...answers.map(({ master, error }) => (error === undefined ? null : noAnswer(master.address, reasonOf(error)))),
    coverage(settings["cluster-require-full-coverage"]),
  ];
  const share = served === HASH_SLOTS ? `all ${HASH_SLOTS}` : `${served} of ${HASH_SLOTS}`;
  return { name: "slots", value: `${share}, on ${masters.length - down.length} masters`, problem: joined(problems) };
}

function downMaster(address: string, ranges: string): string {
  const problem = `${address} is down, and no replica has taken over its slots ${ranges}: start it again, and give each master a replica`;
  return problem;
}

function noServer(ranges: string): string {
  const problem = `no server has these slots: ${ranges}. Assign them with redis-cli --cluster fix`;
  return problem;
}

function noAnswer(address: string, reason: string): string {
  const problem = `the master ${address} does not answer (${reason}): see whether it runs, and whether this machine can reach it`;
  return problem;
}

function coverage(value: string | undefined): string | null {
  const closes =
    "as long as one slot has no server, for example until a replica takes over, the whole cluster refuses calls: set " +
    "cluster-require-full-coverage to no";
  const unsaid =
    "whether one slot without a server makes the whole cluster refuse calls is not known, because the server refuses CONFIG GET: " +
    "allow CONFIG|GET for this user, or make sure that cluster-require-full-coverage is no";
  const problem = value === undefined ? unsaid : value === "no" ? null : closes;
  return problem;
}
