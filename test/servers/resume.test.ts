// Taking over calls on Postgres, and on a Redis Cluster, where the buckets of a call may be in several shards.

import { migrate, postgresStore } from "tollgate/stores/postgres";
import { redisStore } from "tollgate/stores/redis";
import { fakeClock } from "tollgate/testing";
import { clientsOfCluster } from "../cluster-clients.ts";
import { testResume } from "../limiter/resume-suite.ts";
import { startPostgres } from "../postgres.ts";
import { startCluster } from "../redis-cluster.ts";

const postgres = await startPostgres();
await migrate(postgres.pool());
const clients = await clientsOfCluster(await startCluster("--cluster-node-timeout", "60000"));

const clock = fakeClock(Date.UTC(2040, 0, 1));
testResume("postgres", clock, () => postgresStore(postgres.pool(), { clock, deadlineMs: 10_000 }));
for (const [name, client] of Object.entries(clients)) {
  testResume(`redis cluster by ${name}`, clock, () => redisStore(client, { clock, deadlineMs: 10_000 }));
}
