// Envoy's rate limit service, asked by a client that is made from Envoy's own protos.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { status } from "@grpc/grpc-js";
import { createLimiter, definePolicy, type Limiter, MisuseError, type PolicyInput, type Store } from "tollgate";
import {
  type EnvoyAddress,
  type EnvoyMapping,
  type EnvoyOptions,
  type EnvoyService,
  envoyService,
  parseEnvoyMapping,
} from "tollgate/service/envoy";
import { memoryLog } from "tollgate/log";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { codeOf, type EnvoyClient, envoyClient, HITS } from "./envoy-client.ts";

const LIMITS: PolicyInput = {
  version: 1,
  partition: "user",
  limits: [
    {
      name: "api-rate",
      per: ["user", "tool"],
      when: { tool: ["api", "search"] },
      algorithm: "fixed-window",
      quota: 5,
      window: "1m",
    },
    {
      name: "tenant-rate",
      per: ["tenant"],
      when: { tool: ["tenant"] },
      algorithm: "token-bucket",
      quota: 3_600,
      window: "1h",
      burst: 2,
    },
    { name: "life", per: ["user"], when: { tool: ["life"] }, quota: 3, resetAfterIdle: "1d" },
    {
      name: "tokens",
      per: ["user"],
      when: { tool: ["model"] },
      unit: "tokens",
      algorithm: "fixed-window",
      quota: 1_000,
      window: "1h",
    },
    { name: "forgetful", per: ["user"], when: { tool: ["forgetful"] }, quota: 9, hold: { onExpiry: "refund" } },
    { name: "watched", per: ["user"], when: { tool: ["watched"] }, mode: "shadow", quota: 1 },
  ],
};

const MAPPING: EnvoyMapping = parseEnvoyMapping(`
domains:
  agents:
    - { match: { model: "*" }, tool: model, dimensions: { user: user }, unit: tokens, afterwards: true }
    - { match: { path: /life }, tool: life, dimensions: { user: user } }
    - { match: { path: /forgetful }, tool: forgetful, dimensions: { user: user } }
    - { match: { path: /watched }, tool: watched, dimensions: { user: user } }
    - { match: { tenant: "*" }, tool: tenant, dimensions: { tenant: tenant } }
    - { match: { user: "*" }, tool: { from: tool }, dimensions: { user: user } }
    - { match: { user: "*" }, tool: api, dimensions: { user: user } }
  other:
    - { match: { who: "*" }, tool: api, dimensions: { user: who } }
`);

interface Made {
  readonly clock: ReturnType<typeof fakeClock>;
  readonly limiter: Limiter;
  readonly service: EnvoyService;
  readonly client: EnvoyClient;
}

/** Of all limiters here. */
const log = memoryLog();

async function make(options: Partial<EnvoyOptions> = {}, limits: PolicyInput = LIMITS): Promise<Made> {
  const policy = definePolicy(limits);
  const clock = fakeClock();
  const limiter = createLimiter({ policy, store: memoryStore({ clock }), log });
  const service = envoyService(limiter, { policy, mapping: MAPPING, ...options });
  const { port } = await service.listen({ port: 0 });
  after(async () => {
    await service.close({ graceMs: 100 });
    await limiter.close();
  });
  return { clock, limiter, service, client: envoyClient(port) };
}

const usedOf = async (limiter: Limiter, limit: string, dimensions: object) =>
  (await limiter.usage(dimensions)).find((each) => each.limit === limit)?.used ?? 0;

describe("one descriptor", () => {
  it("is charged until its limit denies, with what is left in the answer", async () => {
    const { client, limiter } = await make();
    const question = { descriptors: [{ user: "u1" }] };
    const answers = [];
    for (let i = 0; i < 7; i++) answers.push(await client.ask(question));
    assert.deepEqual(
      answers.map(({ overallCode }) => overallCode),
      ["OK", "OK", "OK", "OK", "OK", "OVER_LIMIT", "OVER_LIMIT"],
    );
    assert.deepEqual(
      answers.map(({ statuses }) => statuses[0]?.limitRemaining),
      [4, 3, 2, 1, 0, 0, 0],
    );
    const [first] = answers[0]?.statuses ?? [];
    assert.deepEqual(first?.currentLimit, { name: "api-rate", requestsPerUnit: 5, unit: "MINUTE" });
    const untilResetMs =
      Number(first?.durationUntilReset?.seconds) * 1_000 + (first?.durationUntilReset?.nanos ?? 0) / 1e6;
    assert.ok(untilResetMs > 0 && untilResetMs <= 60_000, String(untilResetMs));
    assert.equal(await usedOf(limiter, "api-rate", { user: "u1", tool: "api" }), 5);
  });

  it("is an entry of the decision log", async () => {
    await log.flush();
    const { items } = await log.storage.read.entries({ kind: "decision", tenants: null, pageSize: 1 });
    assert.equal(items[0]?.kind === "decision" && items[0].via, "envoy");
  });

  it("that is denied gets the reason and the retry time, without advice for a model", async () => {
    const { client } = await make();
    const over = await client.ask({ descriptors: [{ user: "u1" }], hitsAddend: 6 });
    assert.equal(over.overallCode, "OVER_LIMIT");
    const detail = "Not possible: the limit is 5 calls per minute per user and tool, and this call needs 6 calls.";
    assert.equal(String(over.rawBody), detail);
    assert.deepEqual(over.responseHeadersToAdd, [], "six never pass, so that waiting does not help");
    await client.ask({ descriptors: [{ user: "u1" }], hitsAddend: 5 });
    const denied = await client.ask({ descriptors: [{ user: "u1" }] });
    const [retry] = denied.responseHeadersToAdd;
    assert.equal(retry?.key, "retry-after");
    assert.ok(Number(retry?.value) >= 1 && Number(retry?.value) <= 60);
  });

  it("has the unit of a window that Envoy can name, and of no other", async () => {
    const { client } = await make();
    const limitOf = async (descriptor: Record<string, string>) =>
      (await client.ask({ descriptors: [descriptor] })).statuses[0]?.currentLimit;
    assert.deepEqual(await limitOf({ tenant: "t" }), { name: "tenant-rate", requestsPerUnit: 3_600, unit: "HOUR" });
    assert.deepEqual(await limitOf({ path: "/life", user: "u" }), {
      name: "life",
      requestsPerUnit: 3,
      unit: "UNKNOWN",
    });
  });

  it("names the unit of a window that was reloaded", async () => {
    const { client, limiter } = await make();
    const unit = async () => (await client.ask({ descriptors: [{ user: "u1" }] })).statuses[0]?.currentLimit?.unit;
    assert.equal(await unit(), "MINUTE");
    const limits = LIMITS.limits.map((limit) => (limit.name === "api-rate" ? { ...limit, window: "1h" } : limit));
    limiter.reload({ ...LIMITS, limits } as PolicyInput);
    assert.equal(await unit(), "HOUR");
  });

  it("passes a shadow limit, which is not in the answer", async () => {
    const { client } = await make();
    for (let i = 0; i < 3; i++) {
      const { overallCode, statuses } = await client.ask({ descriptors: [{ path: "/watched", user: "u" }] });
      assert.deepEqual([overallCode, statuses[0]?.currentLimit], ["OK", null]);
    }
  });
});

describe("hits", () => {
  it("are the cost, a descriptor's own first, and 1 by default", async () => {
    const { client, limiter } = await make();
    const used = () => usedOf(limiter, "api-rate", { user: "u1", tool: "api" });
    await client.ask({ descriptors: [{ user: "u1" }], hitsAddend: 2 });
    assert.equal(await used(), 2);
    await client.ask({ descriptors: [{ user: "u1" }] });
    assert.equal(await used(), 3);
    await client.ask({ descriptors: [{ user: "u1", [HITS]: { value: 1 } }], hitsAddend: 5 });
    assert.equal(await used(), 4);
  });

  it("of 0 in a descriptor ask, and charge nothing", async () => {
    const { client, limiter } = await make();
    const ask = { descriptors: [{ user: "u1", [HITS]: { value: 0 } }] };
    assert.equal((await client.ask(ask)).overallCode, "OK");
    assert.equal(await usedOf(limiter, "api-rate", { user: "u1", tool: "api" }), 0);
    await client.ask({ descriptors: [{ user: "u1" }], hitsAddend: 5 });
    assert.equal((await client.ask(ask)).overallCode, "OVER_LIMIT");
  });

  it("that were already taken are booked beyond the quota, and deny later requests", async () => {
    const { client, limiter } = await make();
    const entries = { model: "m1", user: "u1" };
    const before = { descriptors: [{ ...entries, [HITS]: { value: 0 } }] };
    assert.equal((await client.ask(before)).overallCode, "OK");
    await client.ask({ descriptors: [{ ...entries, [HITS]: { value: 900 } }] });
    assert.equal((await client.ask(before)).overallCode, "OK");
    await client.ask({ descriptors: [{ ...entries, [HITS]: { value: 4_000 } }] });
    assert.equal(await usedOf(limiter, "tokens", { user: "u1", tool: "model" }), 4_900);
    assert.equal((await client.ask(before)).overallCode, "OVER_LIMIT");
  });

  it("that cannot be counted or are negative are refused, and charge nothing", async () => {
    const { client, limiter } = await make();
    const huge = client.ask({ descriptors: [{ user: "u1", [HITS]: { value: "9007199254740993" } }] });
    await assert.rejects(huge, (error) => codeOf(error) === status.INVALID_ARGUMENT);
    const negative = client.ask({ descriptors: [{ user: "u1", [HITS]: { value: 2, isNegative: true } }] });
    await assert.rejects(negative, (error) => codeOf(error) === status.UNIMPLEMENTED);
    assert.equal(await usedOf(limiter, "api-rate", { user: "u1", tool: "api" }), 0);
  });
});

describe("several descriptors", () => {
  it("have a status each, in order, and all are charged", async () => {
    const { client, limiter, service } = await make();
    const { overallCode, statuses } = await client.ask({
      descriptors: [{ tenant: "t1" }, { unmapped: "x" }, { user: "u1" }, { path: "/life", user: "u1" }],
    });
    assert.equal(overallCode, "OK");
    assert.deepEqual(
      statuses.map(({ code, currentLimit }) => [code, currentLimit?.name]),
      [
        ["OK", "tenant-rate"],
        ["OK", undefined],
        ["OK", "api-rate"],
        ["OK", "life"],
      ],
    );
    await service.close();
    assert.equal(await usedOf(limiter, "api-rate", { user: "u1", tool: "api" }), 1);
    assert.equal(await usedOf(limiter, "life", { user: "u1", tool: "life" }), 1);
    assert.equal(await usedOf(limiter, "tenant-rate", { tenant: "t1", tool: "tenant" }), 1);
  });

  it("are not charged when one of them is denied, and nothing stays held", async () => {
    const { client, limiter } = await make();
    await client.ask({ descriptors: [{ path: "/life", user: "u1" }], hitsAddend: 3 });
    for (let i = 0; i < 20; i++) {
      const { overallCode, statuses } = await client.ask({
        descriptors: [{ user: "u1" }, { path: "/life", user: "u1" }, { tenant: "t1" }],
      });
      assert.equal(overallCode, "OVER_LIMIT");
      assert.deepEqual(
        statuses.map(({ code }) => code),
        ["OK", "OVER_LIMIT", "OK"],
      );
    }
    assert.equal(await usedOf(limiter, "api-rate", { user: "u1", tool: "api" }), 0);
    assert.equal(await usedOf(limiter, "tenant-rate", { tenant: "t1", tool: "tenant" }), 0);
    assert.equal(await usedOf(limiter, "life", { user: "u1", tool: "life" }), 3);
  });

  it("are not charged either when one only asks, and is denied", async () => {
    const { client, limiter } = await make();
    await client.ask({ descriptors: [{ path: "/life", user: "u1" }], hitsAddend: 3 });
    const { overallCode } = await client.ask({
      descriptors: [{ user: "u1" }, { path: "/life", user: "u1", [HITS]: { value: 0 } }],
    });
    assert.equal(overallCode, "OVER_LIMIT");
    assert.equal(await usedOf(limiter, "api-rate", { user: "u1", tool: "api" }), 0);
  });

  it("are not charged when one of them is refused", async () => {
    const { client, limiter } = await make({
      mapping: {
        domains: {
          agents: [
            { match: { user: "*" }, tool: { from: "tool" }, dimensions: { user: "user" } },
            { match: { lost: "*" }, tool: { from: "lost" } },
          ],
        },
      },
    });
    const failing = client.ask({ descriptors: [{ user: "u1", tool: "api" }, { lost: "api" }] });
    await assert.rejects(failing, (error) => codeOf(error) === status.FAILED_PRECONDITION);
    assert.equal(await usedOf(limiter, "api-rate", { user: "u1", tool: "api" }), 0);
  });

  it("are spent for good, and not held until a lease ends", async () => {
    const { client, clock, limiter, service } = await make();
    await client.ask({ descriptors: [{ path: "/forgetful", user: "u1" }, { user: "u1" }] });
    await service.close();
    clock.advance(3_600_000);
    assert.equal(await usedOf(limiter, "forgetful", { user: "u1", tool: "forgetful" }), 1);
  });

  it("whose settling the store never answers do not delay closing", async () => {
    const memory = memoryStore();
    const store: Store = {
      apply: (requests) =>
        requests.some(({ mode }) => mode === "force") ? new Promise(() => {}) : memory.apply(requests),
      close: () => memory.close(),
    };
    const service = envoyService(createLimiter({ policy: LIMITS, store }), { mapping: MAPPING });
    const { port } = await service.listen({ port: 0 });
    try {
      const asked = envoyClient(port).ask({ descriptors: [{ user: "u1" }, { tenant: "t1" }] }, 2_000);
      assert.equal((await asked).overallCode, "OK", "the answer does not wait for it either");
    } finally {
      await service.close({ graceMs: 50 });
    }
  });

  it("that are the same are charged each", async () => {
    const { client, limiter, service } = await make();
    const twice = { descriptors: [{ user: "u1" }, { user: "u1" }] };
    assert.equal((await client.ask(twice)).overallCode, "OK");
    assert.equal((await client.ask(twice)).overallCode, "OK");
    assert.equal((await client.ask(twice)).overallCode, "OVER_LIMIT", "one is left");
    await service.close();
    assert.equal(await usedOf(limiter, "api-rate", { user: "u1", tool: "api" }), 4);
  });
});

describe("a mapping", () => {
  it("takes the first rule that matches, a tool from an entry, and domains apart", async () => {
    const { client, limiter } = await make();
    await client.ask({ descriptors: [{ user: "u1", tool: "search" }] });
    await client.ask({ domain: "other", descriptors: [{ who: "u1" }], hitsAddend: 2 });
    assert.equal(await usedOf(limiter, "api-rate", { user: "u1", tool: "search" }), 1);
    assert.equal(await usedOf(limiter, "api-rate", { user: "u1", tool: "api" }), 2);
  });

  it("uses the first entry of a key", async () => {
    const { client, limiter } = await make();
    await client.ask({
      descriptors: [
        [
          ["user", "u1"],
          ["user", "u2"],
        ],
      ],
    });
    assert.equal(await usedOf(limiter, "api-rate", { user: "u1", tool: "api" }), 1);
    assert.equal(await usedOf(limiter, "api-rate", { user: "u2", tool: "api" }), 0);
  });

  it("counts the addresses of one client together", async () => {
    const limits: PolicyInput = { version: 1, limits: [{ name: "per-address", per: ["address"], quota: 5 }] };
    const rules = (key: string, source: string | EnvoyAddress): EnvoyMapping => ({
      domains: { agents: [{ match: { [key]: "*" }, tool: "api", dimensions: { address: source } }] },
    });
    const passed = async (key: string, source: string | EnvoyAddress, addressOf: (i: number) => string) => {
      const { client } = await make({ mapping: rules(key, source) }, limits);
      let allowed = 0;
      for (let i = 0; i < 30; i++) {
        const { overallCode } = await client.ask({ descriptors: [{ [key]: addressOf(i) }] });
        if (overallCode === "OK") allowed++;
      }
      return allowed;
    };
    const inOne64 = (i: number) => `2001:db8:7:8:${i.toString(16)}::1`;
    const inOne56 = (i: number) => `2001:db8:7:${i.toString(16)}::1`;
    assert.equal(await passed("remote_address", "remote_address", inOne64), 5);
    assert.equal(await passed("remote_address", "remote_address", inOne56), 5);
    assert.equal(await passed("remote_address", { from: "remote_address", ipv6: 64 }, inOne64), 5);
    assert.equal(await passed("remote_address", { from: "remote_address", ipv6: 64 }, inOne56), 30);
    assert.equal(await passed("client", { from: "client" }, inOne64), 5);
    assert.equal(await passed("client", "client", inOne64), 30);
    assert.equal(await passed("remote_address", "remote_address", (i) => `203.0.113.${i}`), 30);
  });

  it("passes unmapped descriptors, and counts them", async () => {
    const { client, service } = await make();
    const { overallCode, statuses } = await client.ask({ descriptors: [{ unmapped: "x" }, { else: "y" }] });
    assert.deepEqual([overallCode, statuses.map(({ code }) => code)], ["OK", ["OK", "OK"]]);
    assert.equal((await client.ask({ domain: "nowhere", descriptors: [{ user: "u1" }] })).overallCode, "OK");
    assert.equal(service.counts().unmapped, 3);
  });

  it("does no harm by hostile keys and values", async () => {
    const { client, limiter } = await make();
    const hostile = ["__proto__", "a:b{c}%#", "\u0000\n", "x".repeat(30_000), "*"];
    for (const user of hostile) {
      const { overallCode } = await client.ask({
        descriptors: [
          [
            ["__proto__", "1"],
            ["constructor", "1"],
            ["user", user],
          ],
        ],
        hitsAddend: 5,
      });
      assert.equal(overallCode, "OK");
      assert.equal(await usedOf(limiter, "api-rate", { user, tool: "api" }), 5);
    }
  });

  it("is over its limit for a value that is too long, because Envoy lets errors pass", async () => {
    const { client } = await make();
    const answer = await client.ask({ descriptors: [{ user: "u9", tool: "x".repeat(1_025) }, { user: "u9" }] });
    assert.equal(answer.overallCode, "OVER_LIMIT");
    assert.deepEqual(
      answer.statuses.map(({ code }) => code),
      ["OVER_LIMIT", "OK"],
    );
    const short = { descriptors: [{ user: "u9", tool: "x".repeat(1_024) }] };
    assert.equal((await client.ask(short)).overallCode, "OK");
  });

  const refused: [string, unknown, RegExp][] = [
    ["is no object", 7, /mapping: expected/],
    [
      "has an unknown word",
      { domains: { a: [{ match: { k: "v" }, tool: "api", dimension: {} }] } },
      /only match, tool/,
    ],
    ["matches everything", { domains: { a: [{ match: {}, tool: "api" }] } }, /at least one entry/],
    ["has no tool", { domains: { a: [{ match: { k: "v" } }] } }, /a tool's name/],
    [
      "says args",
      { domains: { a: [{ match: { k: "v" }, tool: "api", dimensions: { args: "k" } }] } },
      /a dimension other/,
    ],
    [
      "cuts an address too short",
      { domains: { a: [{ match: { k: "v" }, tool: "x", dimensions: { user: { from: "k", ipv6: 8 } } }] } },
      /dimensions\.user.*32 to 128/,
    ],
    ["has a reserved key", JSON.parse('{"domains":{"a":[{"match":{"__proto__":"v"},"tool":"api"}]}}'), /__proto__/],
    [
      "names no dimension of the policy",
      { domains: { a: [{ match: { k: "v" }, tool: "x", dimensions: { team: "k" } }] } },
      /team/,
    ],
    ["names no unit of the policy", { domains: { a: [{ match: { k: "v" }, tool: "x", unit: "pounds" }] } }, /pounds/],
    [
      "does not say what a limit is per",
      { domains: { a: [{ match: { k: "v" }, tool: "api" }] } },
      /user, which the limit api-rate/,
    ],
  ];
  for (const [name, mapping, message] of refused) {
    it(`that ${name} is refused when it is made`, () => {
      const policy = definePolicy(LIMITS);
      const limiter = createLimiter({ policy, store: memoryStore() });
      assert.throws(
        () => envoyService(limiter, { policy, mapping: mapping as EnvoyMapping }),
        (error) => MisuseError.isInstance(error) && error.code === "invalid-option" && message.test(error.message),
      );
    });
  }

  it("need not say what a limit per group is per where its tool has no group", () => {
    const policy = definePolicy({
      version: 1,
      tools: { search: { group: "read" } },
      limits: [{ name: "groups", per: ["user", "group"], quota: 5 }],
    });
    const made = (tool: string) => {
      const mapping: EnvoyMapping = { domains: { a: [{ match: { k: "v" }, tool }] } };
      return envoyService(createLimiter({ policy, store: memoryStore() }), { policy, mapping });
    };
    made("other");
    assert.throws(() => made("search"), /user, which the limit groups is per/);
  });

  it("refuses concurrency limits: when it is made, or when a request names such a tool", async () => {
    const limits: PolicyInput = {
      version: 1,
      limits: [{ name: "at-once", per: ["user"], when: { tool: ["slow"] }, algorithm: "concurrency", quota: 2 }],
    };
    const rules = (tool: string | { from: string }): EnvoyMapping => ({
      domains: { agents: [{ match: { user: "*" }, tool, dimensions: { user: "user" } }] },
    });
    await assert.rejects(make({ mapping: rules("slow") }, limits), /concurrency limits.*at-once/);
    const { client } = await make({ mapping: rules({ from: "tool" }) }, limits);
    const asked = client.ask({ descriptors: [{ user: "u1", tool: "slow" }] });
    await assert.rejects(
      asked,
      (error) => codeOf(error) === status.FAILED_PRECONDITION && /at-once/.test(String(error)),
    );
  });
});

describe("answers", () => {
  it("have header fields and metadata if configured", async () => {
    const { client } = await make({ headers: true, metadata: true });
    const answer = await client.ask({ descriptors: [{ user: "u1" }, { unmapped: "x" }] });
    const fields = Object.fromEntries(answer.responseHeadersToAdd.map(({ key, value }) => [key, value]));
    assert.equal(fields["x-ratelimit-limit"], "5");
    assert.equal(fields["x-ratelimit-remaining"], "4");
    assert.ok(Number(fields["x-ratelimit-reset"]) > 0);
    const text = JSON.stringify(answer.dynamicMetadata);
    assert.match(text, /"limit":\{"stringValue":"api-rate"/);
    assert.match(text, /"remaining":\{"numberValue":4/);
    assert.doesNotMatch(text, /u1/);
  });

  it("have neither by default", async () => {
    const { client } = await make();
    const answer = await client.ask({ descriptors: [{ user: "u1" }] });
    assert.deepEqual([answer.responseHeadersToAdd, answer.dynamicMetadata], [[], null]);
  });
});

describe("requests that are refused", () => {
  const wrong: [string, Parameters<EnvoyClient["ask"]>[0], number][] = [
    ["no domain", { domain: "", descriptors: [{ user: "u" }] }, status.INVALID_ARGUMENT],
    ["no descriptor", { descriptors: [] }, status.INVALID_ARGUMENT],
    [
      "too many descriptors",
      { descriptors: Array.from({ length: 65 }, () => ({ user: "u" })) },
      status.INVALID_ARGUMENT,
    ],
    ["an empty value", { descriptors: [{ user: "" }] }, status.FAILED_PRECONDITION],
    ["more bytes than may be", { descriptors: [{ user: "u".repeat(70_000) }] }, status.RESOURCE_EXHAUSTED],
  ];
  for (const [name, question, code] of wrong) {
    it(name, async () => {
      const { client } = await make();
      await assert.rejects(client.ask(question), (error) => codeOf(error) === code);
    });
  }
});

describe("options", () => {
  const limiter = createLimiter({ policy: LIMITS, store: memoryStore() });
  const wrong: [string, () => unknown][] = [
    ["limiter", () => envoyService({} as Limiter, { mapping: MAPPING })],
    ["options", () => envoyService(limiter, { mapping: MAPPING, map: 1 } as EnvoyOptions)],
    ["headers", () => envoyService(limiter, { mapping: MAPPING, headers: "draft" as never })],
    ["maxMessageBytes", () => envoyService(limiter, { mapping: MAPPING, maxMessageBytes: 10 })],
    ["port", () => envoyService(limiter, { mapping: MAPPING }).listen({ port: 70_000 })],
    [
      "tls",
      () => envoyService(limiter, { mapping: MAPPING }).listen({ tls: { cert: "a", key: "b", ca: "c" } as never }),
    ],
    ["mapping", () => parseEnvoyMapping("a: [")],
  ];
  for (const [path, use] of wrong) {
    it(`${path} that is wrong is refused`, async () => {
      await assert.rejects(
        async () => use(),
        (error) => MisuseError.isInstance(error) && error.faults[0]?.path === path,
      );
    });
  }
});
