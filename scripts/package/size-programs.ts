// Six programs that users write, for their sizes. `run` makes two calls under a limit of one, and returns which were allowed.
// `url` has a service at `/v1` and Redis at `/redis`; `env` and `context` are what a Worker has.

/** A program, with what it may weigh. 1 kB is 1,000 bytes. */
export interface SizeProgram {
  readonly name: string;
  readonly source: string;
  /** What CI accepts: it loads at most so much when it starts, compressed, on each platform. */
  readonly maxKB: number;
  /** What the project wants to reach; `maxKB` follows it down. */
  readonly targetKB: number;
}

const LIMITER = `
import { createLimiter } from "tollgate";
const policy = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1 }] };
async function callTwice(limiter) {
  const call = { tool: "search", session: crypto.randomUUID() };
  const allowed = [(await limiter.consume(call)).allowed, (await limiter.consume(call)).allowed];
  await limiter.close();
  return allowed;
}
`;

const POST = `{ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }`;

export const SIZE_PROGRAMS: readonly SizeProgram[] = [
  {
    name: "the limiter with the memory store",
    maxKB: 56,
    targetKB: 30,
    source: `${LIMITER}
import { memoryStore } from "tollgate/stores/memory";
export const run = () => callTwice(createLimiter({ policy, store: memoryStore() }));
`,
  },
  {
    name: "the limiter with the Redis store",
    maxKB: 88,
    targetKB: 45,
    source: `${LIMITER}
import { redisStore } from "tollgate/stores/redis";
export const run = (url) => callTwice(createLimiter({ policy, failover: { deadlineMs: 10_000 }, store: redisStore({
  async call(...body) {
    const { reply, error } = await (await fetch(url + "/redis", ${POST})).json();
    if (error !== undefined) throw new Error(error);
    return reply;
  },
}) }));
`,
  },
  {
    name: "the client of the service",
    maxKB: 23,
    targetKB: 40,
    source: `
import { createRemoteLimiter } from "tollgate/client";
export async function run(url) {
  const limiter = createRemoteLimiter({ url });
  const call = { tool: "search", session: crypto.randomUUID() };
  const allowed = [(await limiter.consume(call)).allowed, (await limiter.consume(call)).allowed];
  await limiter.close();
  return allowed;
}
`,
  },
  {
    name: "the limiter with the AI SDK's adapter",
    maxKB: 60,
    targetKB: 35,
    source: `${LIMITER}
import { aiSdkGuard } from "tollgate/adapters/ai-sdk";
import { memoryStore } from "tollgate/stores/memory";
export async function run() {
  const limiter = createLimiter({ policy, store: memoryStore() });
  const { search } = aiSdkGuard(limiter.for({ session: "s" })).tools({ search: { execute: () => "found" } });
  const isAllowed = (toolCallId) => search.execute({}, { toolCallId }).then(() => true, () => false);
  const allowed = [await isAllowed("1"), await isAllowed("2")];
  await limiter.close();
  return allowed;
}
`,
  },
  {
    name: "the service's handler",
    maxKB: 136,
    targetKB: 150,
    source: `
import { createService } from "tollgate/service";
import { memoryStore } from "tollgate/stores/memory";
export async function run() {
  const policy = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1 }] };
  const service = createService({ policy, store: memoryStore(), keys: false });
  const body = { call: { tool: "search", session: "s" } };
  const ask = async () => (await (await service.fetch(new Request("http://service/v1/consume", ${POST}))).json()).allowed;
  const allowed = [await ask(), await ask()];
  await service.close();
  return allowed;
}
`,
  },
  {
    name: "the Worker",
    maxKB: 108,
    targetKB: 150,
    source: `
import { TollgateObject, tollgateWorker } from "tollgate/edge";
export { TollgateObject };
const policy = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1 }] };
const worker = tollgateWorker({ policy, keys: false });
export async function run(url, env, context) {
  const body = { call: { tool: "search", session: "s" } };
  const ask = async () => {
    const request = new Request("http://worker/v1/consume", ${POST});
    return (await (await worker.fetch(request, env, context)).json()).allowed;
  };
  return [await ask(), await ask()];
}
`,
  },
];
