import assert from "node:assert/strict";
import { it } from "node:test";
import { Cluster } from "ioredis";
import { Cluster as ValkeyCluster } from "iovalkey";
import type { RedisClient } from "./client.ts";
import { spareMaker } from "./spare.ts";

const NODES = [{ host: "127.0.0.1", port: 1 }];
const OPTIONS = { lazyConnect: true, redisOptions: { username: "limits", password: "secret", tls: {} } };

interface Duplicated {
  duplicate(...given: unknown[]): { readonly options: object };
}

const CLIENTS: Record<string, Duplicated> = {
  ioredis: new Cluster(NODES, OPTIONS),
  iovalkey: new ValkeyCluster(NODES, OPTIONS) as unknown as Duplicated,
};

for (const [name, client] of Object.entries(CLIENTS)) {
  it(`connects as the user's client of a cluster does: ${name}`, async () => {
    const duplicate = client.duplicate.bind(client);
    let options: Partial<typeof OPTIONS> = {};
    client.duplicate = (...given) => {
      const made = duplicate(...given);
      options = made.options;
      return made;
    };
    const spare = spareMaker(client as unknown as RedisClient)?.();
    await spare?.opened.catch(() => {});
    spare?.close();
    const { username, password, tls } = options.redisOptions ?? {};
    assert.deepEqual({ username, password, tls }, OPTIONS.redisOptions);
  });
}
