// How a Redis is set up, and what of that may break a promise.

import type { SetupCheck } from "../../store/store.ts";
import { connectionOf, type RedisClient, type Send } from "./client.ts";
import { checkCluster } from "./cluster-setup.ts";
import { serverChecks, UNKNOWN } from "./server-checks.ts";
import { clientCheck } from "./settings.ts";
import { infoOrRefused, settingsOf, textOf } from "./setup-reading.ts";

/**
 * Reads version, eviction and persistence, and the client's settings; of a cluster also its slots and replicas, and what a
 * failover may lose. What the server does not report is `unknown`.
 */
export async function checkSetup(client: RedisClient, send: Send): Promise<readonly SetupCheck[]> {
  const checks = connectionOf(client).isCluster ? await checkCluster(send) : await checkServer(send);
  return [...checks, clientCheck(client)];
}

async function checkServer(send: Send): Promise<SetupCheck[]> {
  const info = textOf(await infoOrRefused(send(undefined, "INFO")));
  const { appendfsync = UNKNOWN } = await settingsOf(send, "appendfsync");
  return serverChecks(info, appendfsync);
}
