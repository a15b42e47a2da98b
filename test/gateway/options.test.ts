// What the options of `tollgate mcp` say of its calls, and what people and models read of them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it, type TestContext } from "node:test";
import { createService } from "tollgate/service";
import { listen } from "tollgate/service/node";
import { memoryStore } from "tollgate/stores/memory";
import { mcpCommand } from "../../src/cli/mcp.ts";
import { callsOfOptions, type McpOptions } from "../../src/cli/mcp-options.ts";
import { identityWarnings } from "../../src/gateway/config/against-policy.ts";
import type { Source } from "../../src/gateway/config/config.ts";
import { withSharedWords } from "../../src/gateway/identity/shared-words.ts";
import { createHostedLimiter } from "../../src/limiter.ts";
import { readPolicyText } from "../../src/policy-file/text.ts";
import { tollgate } from "../e2e/tollgate.ts";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";
import { call, RAW_SERVER } from "./stdio-gateway.ts";

const OPTIONS: McpOptions = { policy: "", prefix: "rate", notices: "meta" };

function policyOf(limits: string) {
  return readPolicyText(`version: 1\nlimits: [${limits}]`, "policy.yaml").policy;
}

const callsOf = (options: Partial<McpOptions>, limits = "{ name: a, per: [user, plan], quota: 1 }") =>
  callsOfOptions({ ...OPTIONS, ...options }, policyOf(limits));

describe("the options of tollgate mcp", () => {
  it("say where the dimensions of a call come from", () => {
    assert.deepEqual(Object.fromEntries(callsOf({}).identity), { user: { value: userInfo().username } });
    const { identity, maxWaitMs, notices } = callsOf({
      user: "u1",
      tenant: "acme",
      sessionMeta: "com.example/session",
      turnMeta: "com.example/turn",
      dimension: ["plan=a=b"],
      maxWait: "5s",
      notices: "content",
    });
    assert.deepEqual(Object.fromEntries(identity), {
      user: { value: "u1" },
      tenant: { value: "acme" },
      session: { meta: "com.example/session" },
      turn: { meta: "com.example/turn" },
      plan: { value: "a=b" },
    });
    assert.deepEqual({ maxWaitMs, notices }, { maxWaitMs: 5_000, notices: "content" });
  });

  const bad: readonly [what: string, options: Partial<McpOptions>, message: RegExp][] = [
    [
      "two sessions",
      { session: "s", sessionMeta: "m" },
      /--session, --session-per-process and --session-meta: expected one of them, got "2 of them"/,
    ],
    [
      "a dimension of its own option",
      { dimension: ["user=u1"] },
      /--dimension: expected a dimension that no other option says, once, got "user=u1"/,
    ],
    [
      "a turn twice",
      { turnMeta: "m", dimension: ["turn=t"] },
      /--dimension: expected a dimension that no other option says/,
    ],
    [
      "what a call says itself",
      { dimension: ["tool=t"] },
      /--dimension: expected a dimension that no other option says/,
    ],
    [
      "a dimension that the policy lacks",
      { dimension: ["plam=pro"] },
      /--dimension: expected one of the policy's dimensions: .*plan.*, got "plam"/,
    ],
    ["a dimension without a value", { dimension: ["plan"] }, /--dimension: expected name=value, got "plan"/],
    ["a long wait", { maxWait: "2m" }, /--max-wait: expected a duration such as 5s, at most 1m, got "2m"/],
  ];
  for (const [what, options, message] of bad) {
    it(`refuse ${what}`, () => void assert.throws(() => callsOf(options), message));
  }

  it("have no log beside a service", async () => {
    const run = mcpCommand().parseAsync(["--url", "http://127.0.0.1:1", "--log", "sqlite:x", "--", "x"], {
      from: "user",
    });
    await assert.rejects(run, /--log: expected nothing beside --url: the service has its own/);
  });
});

describe("a session that nothing says", () => {
  const WHOSE = "all MCP clients of this user on this machine";

  it("is called the one of all clients, in denials and notices", async () => {
    const policy = policyOf(
      "{ name: a, per: [session], quota: 1 }, { name: b, per: [session, turn], quota: 9 }, { name: c, per: [user], quota: 9 }",
    );
    const limiter = withSharedWords(createHostedLimiter({ policy, store: memoryStore() }), WHOSE);
    const texts = async (session: string) => {
      const dimensions = { user: "u1", turn: "unidentified", session };
      const { decision } = await limiter.begin({ ...dimensions, tool: "search" }, {});
      return decision.message ?? decision.notice;
    };
    assert.match(
      String(await texts("unidentified")),
      /^No calls are left in the session that all MCP clients of this user on this machine share/,
    );
    assert.match(
      String(await texts("unidentified")),
      /call denied: no calls are left in the session that all MCP clients of this user on this machine share/,
    );
    const timed = "{ name: a, per: [session], algorithm: fixed-window, window: 1m, quota: 1 }";
    const other = withSharedWords(createHostedLimiter({ policy: policyOf(timed), store: memoryStore() }), WHOSE);
    const call = { tool: "search", session: "unidentified" };
    await other.begin(call, {});
    assert.match(
      String((await other.begin(call, {})).decision.message),
      /on this machine share, for now \(limit: 1 call/,
    );
    await other.close();
    await texts("s1");
    assert.match(String(await texts("s1")), /no calls are left in this session/);
    await limiter.close();
  });

  it("is warned of at the start, where a limit has no window", () => {
    const warnings = (limits: string, identity: Record<string, Source> = {}) =>
      identityWarnings(new Map(Object.entries(identity)), policyOf(limits), {
        whose: WHOSE,
        hasSessions: false,
        hint: (name) => `say ${name}`,
      });
    const forever = "{ name: a, per: [session], quota: 5 }, { name: b, per: [session, tool], quota: 5 }";
    assert.deepEqual(warnings(forever), [
      `a and b: ${WHOSE} share one session, so what one has used is used for the others, until no call was made for 30 days. Give the limit a window, such as algorithm: fixed-window, window: 1d, or say session`,
    ]);
    assert.deepEqual(warnings(forever, { session: { value: "s" } }), []);
    assert.deepEqual(
      warnings(
        "{ name: a, per: [session], quota: 5, resetAfterIdle: 2m }, { name: b, per: [session], quota: 5, algorithm: sliding-window, window: 2h }",
      ),
      [],
    );
    assert.match(String(warnings("{ name: t, per: [session, turn], quota: 5 }")), /^t: .* share one turn, /);
    assert.deepEqual(warnings("{ name: a, per: [plan], quota: 5 }"), [
      "no call that the limit a is for can be made, because nothing says its plan: say plan",
    ]);
    assert.deepEqual(warnings("{ name: a, per: [plan], quota: 5, onMissing: skip }"), []);
    assert.deepEqual(warnings("{ name: a, per: [plan], quota: 5 }", { plan: { value: "pro" } }), []);
  });
});

it("a client that can begin sessions gets new budgets, unless a limit is per user", () => {
  const warnings = (limits: string, identity: Record<string, Source>, hasSessions: boolean) =>
    identityWarnings(new Map(Object.entries(identity)), policyOf(limits), { whose: "x", hasSessions, hint: () => "" });
  const rate = "quota: 5, algorithm: sliding-window, window: 1h";
  const own = `{ name: a, per: [session], ${rate} }, { name: b, per: [user, turn, session], ${rate} }`;
  const meta = { meta: "m" };
  assert.deepEqual(warnings(own, {}, true), ["a client gets a new budget with each session: add a limit per user"]);
  assert.deepEqual(warnings(own, { session: meta, turn: meta }, false), [
    "a client gets a new budget with each session or turn: add a limit per user",
  ]);
  assert.deepEqual(warnings(own, {}, false), []);
  assert.deepEqual(warnings(own, { session: { value: "s" } }, true), []);
  assert.deepEqual(warnings(`${own}, { name: c, per: [user], ${rate} }`, {}, true), []);
});

const folder = temporaryFolder();

/** The answers and the words of a gateway with these options. */
function gateway(t: TestContext, options: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const args = [`${ROOT}bin/tollgate.js`, "mcp", ...options, "--", process.execPath, RAW_SERVER];
  const child = spawn(process.execPath, args, { cwd: folder, env: { ...process.env, ...env } });
  t.after(() => child.kill());
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const said = createInterface({ input: child.stderr })[Symbol.asyncIterator]();
  return {
    async ask(line: string) {
      child.stdin.write(`${line}\n`);
      return JSON.parse(String((await answers.next()).value)).result;
    },
    /** The next line on stderr that matches. */
    async says(pattern: RegExp): Promise<string> {
      for (;;) {
        const { value, done } = await said.next();
        assert.ok(!done, `it never said ${pattern}`);
        if (pattern.test(value)) return value;
      }
    },
    end: () => new Promise<void>((resolve) => child.once("close", () => resolve()).stdin.end()),
  };
}

describe("a gateway with options", { timeout: 60_000 }, () => {
  it("keeps a log, says each denial, and takes the policy of a file that has changed", async (t) => {
    const file = join(folder, "policy.yaml");
    const write = (quota: string) =>
      writeFileSync(file, `version: 1\nlimits:\n  - { name: of-turn, per: [user, plan, turn], quota: ${quota} }\n`);
    write("1");
    const log = join(folder, "log.db");
    const own = ["--policy", file, "--store", "memory:", "--log", `sqlite:${log}`];
    const { ask, says, end } = gateway(t, [...own, "--user", "u1", "--dimension", "plan=pro", "--turn-meta", "turn"]);
    const inTurn = (id: number, turn: string) => ask(call(id, "search", `,"_meta":{"turn":"${turn}"}`));
    assert.equal((await inTurn(1, "t1")).isError, undefined);
    const denied = await inTurn(2, "t1");
    assert.match(denied.content[0].text, /no calls are left in this turn/);
    assert.equal(
      await says(/denied/),
      'tollgate: denied a call of "search" (of-turn): Limit reached: 1 call per user, plan and turn.',
    );
    write("nine");
    // It may also be read while it is written.
    await says(/^tollgate: the policy file is wrong: nothing has changed .*quota/);
    assert.equal((await inTurn(3, "t1")).isError, true);
    write("3");
    await says(/^tollgate: another policy is in force /);
    assert.equal((await inTurn(4, "t1")).isError, undefined);
    await end();

    const { stdout } = await tollgate(["tail", "--no-follow", "--json", "--log", `sqlite:${log}`], folder);
    const entries = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const decisions = entries.filter(({ kind }) => kind === "decision");
    assert.deepEqual(
      decisions.map(({ allowed, via }) => `${allowed} ${via}`),
      ["true mcp", "false mcp", "false mcp", "true mcp"],
    );
    const whose = { user: "u1", tenant: "unidentified", session: "unidentified", turn: "t1", plan: "pro" };
    assert.deepEqual(decisions[0].dimensions, whose);
  });

  it("asks a service, which has the policy", async (t) => {
    const policy = "version: 1\nlimits: [{ name: of-user, per: [user], quota: 1 }]";
    const service = await listen(createService({ policy, store: memoryStore(), keys: false }), { port: 0 });
    t.after(() => service.close());
    const { ask, says, end } = gateway(t, ["--user", "u1"], { TOLLGATE_URL: service.url });
    assert.equal((await ask(call(1, "search"))).isError, undefined);
    assert.match((await ask(call(2, "search"))).content[0].text, /Limit reached \(of-user\), call denied/);
    assert.match(
      await says(/limited/),
      /^tollgate: calls of this server are limited by the service at http:\/\/127\.0\.0\.1:\d+$/,
    );
    await says(/denied a call of "search" \(of-user\)/);
    await end();
  });
});
