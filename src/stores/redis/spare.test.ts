import assert from "node:assert/strict";
import { it } from "node:test";
import { Cluster } from "ioredis";
import { Cluster as ValkeyCluster } from "iovalkey";
import type { RedisClient } from "./client.ts";
import { spareMaker } from "./spare.ts";

const NODES = [{ host: "127.0.0.1", port: 1 }];
const OPTIONS = { lazyConnect: true, redisOptions: { username: "limits", password: "secret", tls: {} } };

for (const [name, client] of Object.entries({
  ioredis: new Cluster(NODES, OPTIONS),
  iovalkey: new ValkeyCluster(NODES, OPTIONS),
})) {
  it(`connects as the user's client of a cluster does: ${name}`, async () => {
    const duplicate = client.duplicate.bind(client);
    let options: typeof OPTIONS | undefined;
    client.duplicate = (...given: Parameters<typeof duplicate>) => {
      const made = duplicate(...given);
      options = made.options as typeof OPTIONS;
      return made as never;
    };
    const spare = spareMaker(client as unknown as RedisClient)?.();
    await spare?.opened.catch(() => {});
    spare?.close();
    const { username, password, tls } = options?.redisOptions ?? {};
    assert.deepEqual({ username, password, tls }, OPTIONS.redisOptions);
  });
}
