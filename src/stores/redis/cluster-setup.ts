// How a cluster is set up: each master, the slots, the replicas, and what a failover may lose.

import type { SetupCheck } from "../../store/store.ts";
import type { Send } from "./client.ts";
import { clusterChecks } from "./cluster-checks.ts";
import { mastersIn, slotsWithout } from "./cluster-nodes.ts";
import { askMasters } from "./cluster-servers.ts";
import { infoOrRefused, orRefused, settingsOf, textOf } from "./setup-reading.ts";

export async function checkCluster(sendOnce: Send): Promise<SetupCheck[]> {
  const send = toAnyServer(sendOnce);
  const nodes = await orRefused(
    send(undefined, "CLUSTER", "NODES"),
    "nothing is known of the cluster's slots and replicas: allow CLUSTER|NODES for this user",
  );
  const settings = await settingsOf(
    send,
    "appendfsync",
    "cluster-require-full-coverage",
    "cluster-node-timeout",
    "min-replicas-to-write",
    "min-replicas-max-lag",
  );
  const masters = mastersIn(textOf(nodes));
  const missing = slotsWithout(masters.filter(({ isDown }) => !isDown));
  // Then each of them refuses scripts.
  const isClosed = missing.length > 0 && settings["cluster-require-full-coverage"] !== "no";
  const answers = isClosed ? [] : await infoOrRefused(askMasters(masters, sendOnce));
  return clusterChecks({ masters, missing, settings, answers });
}

/** Clients send what has no key to a random server, and that one may be the one that does not answer. */
const TRIES = 6;

function toAnyServer(send: Send): Send {
  return async (...command) => {
    try {
      return await Promise.any(Array.from({ length: TRIES }, () => send(...command)));
    } catch (error) {
      throw error instanceof AggregateError ? error.errors[0] : error;
    }
  };
}
