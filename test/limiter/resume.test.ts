// Taking over calls on the stores of one machine. test/servers/resume.test.ts has the other servers.

import { join } from "node:path";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";
import { fakeClock } from "tollgate/testing";
import { anyRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";
import { testResume } from "./resume-suite.ts";

const redis = await anyRedis();
const nodeRedis = [await redis.nodeRedis(), await redis.nodeRedis()];
const path = join(temporaryFolder(), "resume.db");

const deadlineMs = 10_000;
const clock = fakeClock(Date.UTC(2040, 0, 1));
const memory = memoryStore({ clock });
testResume("memory", clock, () => memory);
testResume("sqlite", clock, () => sqliteStore(path, { clock, deadlineMs }));
testResume("redis by ioredis", clock, () => redisStore(redis.ioredis(), { clock, deadlineMs }));
testResume("redis by node-redis", clock, () =>
  redisStore(nodeRedis.pop() as (typeof nodeRedis)[number], { clock, deadlineMs }),
);
