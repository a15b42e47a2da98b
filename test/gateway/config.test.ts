// The file of a gateway over HTTP, and the command that starts one from it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { messageOf } from "../../src/cli/exit.ts";
import { openGatewayFile } from "../../src/cli/gateway-file.ts";
import { mcpCommand } from "../../src/cli/mcp.ts";
import { readGateway } from "../../src/gateway/config/file.ts";
import { invalidOption, MisuseError } from "../../src/kernel/errors.ts";
import { readPolicyText } from "../../src/policy-file/text.ts";
import { createKey } from "../../src/service/key-file.ts";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";
import { ask, json, rawServer, toolCall } from "./http-gateway.ts";

const folder = temporaryFolder();
writeFileSync(join(folder, "secret"), `${"s".repeat(44)}\n`);

const { policy } = readPolicyText("version: 1\nlimits: [{ name: a, per: [user, plan], quota: 1 }]", "policy.yaml");

const ENV = { TOKEN: " abc ", SHORT: "short", LONG: "l".repeat(44) };

function read(file: string, env: Record<string, string> = ENV) {
  return readGateway(`version: 1\n${file}`, "gateway.yaml", {
    policy,
    env,
    pathOf: (path) => join(folder, path),
    openKeys: (path) => (authorization) => ({ id: `${path} ${authorization}`, tenants: null }),
  });
}

const ONE = "servers: { one: { url: https://one.example/mcp } }\n";

describe("the file of a gateway", () => {
  it("needs nothing but a server", () => {
    const { config, warnings } = read(ONE);
    const { servers, calls, ...rest } = config;
    assert.deepEqual(rest, {
      host: "127.0.0.1",
      port: 8430,
      tls: null,
      hosts: [],
      origins: [],
      publicUrl: null,
      auth: null,
      maxRequestBytes: 4_194_304,
      maxMessageBytes: 33_554_432,
    });
    assert.deepEqual(servers, [
      {
        name: "one",
        url: new URL("https://one.example/mcp"),
        credentials: "forward",
        maxInFlight: 256,
        connectMs: 10_000,
      },
    ]);
    assert.equal(calls.secrets[0]?.secret.length, 32);
    assert.deepEqual(warnings, [
      "gateway.yaml has no secret: sessions end with this process, and other instances do not know them",
    ]);
  });

  it("says where it listens, how clients are known and which secrets there are", () => {
    const { config, warnings } = read(`
listen: { host: 0.0.0.0, port: 443, hosts: [a.example], origins: [https://b.example], url: https://a.example, tls: { cert: secret, key: secret } }
secret: [{ file: secret }, { env: LONG }]
auth: { proxy: { secret: { header: X-Proxy, env: TOKEN }, user: X-User }, optional: true }
identity: { tenant: { value: acme }, session: { header: X-Session }, plan: { meta: example/plan } }
notices: content
maxWait: 5s
servers:
  one: { url: https://one.example/mcp, credentials: { header: Authorization, prefix: "Bearer ", env: TOKEN }, maxInFlight: 5 }
  two: { url: https://two.example/mcp, credentials: none }
`);
    const { host, port, hosts, origins, publicUrl, tls, auth, calls, servers } = config;
    assert.deepEqual(
      { host, port, hosts, origins },
      { host: "0.0.0.0", port: 443, hosts: ["a.example"], origins: ["https://b.example"] },
    );
    assert.deepEqual([publicUrl?.href, tls?.cert.length], ["https://a.example/", 45]);
    const proxy = { kind: "proxy", secretHeader: "X-Proxy", secret: "abc", user: "X-User", tenant: null };
    assert.deepEqual(auth, { config: proxy, isOptional: true });
    assert.deepEqual(Object.fromEntries(calls.identity), {
      tenant: { value: "acme" },
      session: { header: "X-Session" },
      plan: { meta: "example/plan" },
    });
    assert.deepEqual([calls.notices, calls.maxWaitMs], ["content", 5_000]);
    assert.deepEqual(
      calls.secrets.map(({ secret }) => secret.length),
      [44, 44],
    );
    assert.notEqual(calls.secrets[0]?.id, calls.secrets[1]?.id);
    assert.deepEqual(
      servers.map(({ credentials, maxInFlight }) => [credentials, maxInFlight]),
      [
        [{ header: "Authorization", value: "Bearer abc" }, 5],
        ["none", 256],
      ],
    );
    assert.deepEqual(warnings, []);
  });

  it("takes tokens and keys as credentials of clients", () => {
    const withAuth = (auth: string) =>
      read(`auth: ${auth}\nservers: { one: { url: https://one.example/mcp, credentials: none } }`).config.auth?.config;
    const jwt = withAuth("{ jwt: { issuer: i, audience: a, jwks: { file: keys.json } } }");
    assert.deepEqual(jwt, {
      kind: "jwt",
      jwt: { issuer: "i", audience: "a", jwks: { file: join(folder, "keys.json") } },
    });
    const keys = withAuth("{ keys: keys.json }");
    assert.ok(keys?.kind === "keys");
    assert.equal(keys.find("x")?.id, `${join(folder, "keys.json")} x`);
  });

  it("is right on its page", () => {
    const page = readFileSync(`${ROOT}docs/mcp-gateway.md`, "utf8");
    const files = [...page.matchAll(/```yaml\nversion: 1\n((?!limits)[\s\S]*?)```/g)].map(([, file = ""]) => file);
    assert.equal(files.length, 2);
    const env = { TOLLGATE_MCP_SECRET: "s".repeat(44), GITHUB_TOKEN: "t" };
    for (const file of files) assert.ok(read(file, env).config.servers.length > 0);
  });

  const bad: readonly [what: string, file: string, messages: RegExp][] = [
    ["what is no YAML", "servers: [", /gateway\.yaml:2:11: .*expected YAML or JSON/],
    ["no servers", "servers: {}", /gateway\.yaml:2:10: servers: expected at least one server, got \{\}/],
    [
      "a name that could be mistaken",
      "servers: { A_b: { url: https://x } }",
      /gateway\.yaml:2:12: servers\.A_b: expected a name of a-z, 0-9 and -, at most 20 characters, got "A_b"/,
    ],
    [
      "a key with a typo",
      "servers: { a: { ulr: https://x } }",
      /expected only url, credentials, maxInFlight, got ulr\. Did you mean "url"\?/,
    ],
    [
      "a command",
      "servers: { a: { command: x } }",
      /servers\.a\.url: .*, got nothing\. Over HTTP a server has an address\./,
    ],
    [
      "an address that is none",
      "servers: { a: { url: x } }",
      /gateway\.yaml:2:22: servers\.a\.url: expected an address such as/,
    ],
    [
      "a secret in the file, which it does not repeat",
      `${ONE}secret: hunter2`,
      /^gateway\.yaml:3:9: secret: expected \{ env: NAME \} or \{ file: PATH \}, or a list of them, got something else\. A secret never stands in the file: write \{ env: NAME \}/,
    ],
    [
      "a credential in the file, which it does not repeat",
      "servers: { a: { url: https://x, credentials: { header: a, value: hunter2 } } }",
      /^(?!.*hunter2).*servers\.a\.credentials: expected none, forward, or/,
    ],
    [
      "a variable that is not set",
      `${ONE}secret: { env: NONE }`,
      /gateway\.yaml:3:16: secret\.env: expected an environment variable that is set, got NONE/,
    ],
    [
      "a short secret",
      `${ONE}secret: [{ env: SHORT }]`,
      /gateway\.yaml:3:10: secret\.0: expected a secret of at least 32 bytes, as of openssl rand -base64 32, got a shorter one/,
    ],
    [
      "a file that is not there",
      `${ONE}secret: { file: none }`,
      /secret\.file: expected a file that can be read, got none: there is no such file/,
    ],
    [
      "several servers without a rule for credentials",
      "servers: { a: { url: https://a, credentials: none }, b: { url: https://b } }",
      /servers\.b\.credentials: expected none, forward or \{ header, env \}, because there are several servers, got nothing/,
    ],
    [
      "to forward the gateway's own credential",
      "auth: { keys: k }\nservers: { a: { url: https://a, credentials: forward } }",
      /servers\.a\.credentials: expected none or \{ header, env \}: Authorization is the gateway's own credential, which no server gets, got forward/,
    ],
    [
      "claims without tokens",
      `${ONE}identity: { plan: { claim: plan } }`,
      /identity\.plan: expected another source, or auth\.jwt: only its tokens have claims/,
    ],
    [
      "a dimension that the policy lacks",
      `${ONE}identity: { plam: { value: pro } }`,
      /identity\.plam: expected one of the policy's dimensions: .*plan, got plam\. Did you mean "plan"\?/,
    ],
    [
      "a part of a call",
      `${ONE}identity: { args: { value: x } }`,
      /identity\.args: expected a dimension, and not a part of the call, got args/,
    ],
    [
      "two ways to authenticate",
      `${ONE}auth: { keys: k, jwt: {} }`,
      /auth: expected \{ keys \}, \{ jwt \} or \{ proxy \}/,
    ],
    ["a long wait", `${ONE}maxWait: 2m`, /maxWait: expected a duration such as 5s, at most 1m, got "2m"/],
  ];
  for (const [what, file, message] of bad) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => read(file),
        (error) => MisuseError.isInstance(error) && assert.match(error.message, message) === undefined,
      );
    });
  }

  it("reports all faults, and says where those stand that are found when it starts", async () => {
    assert.throws(
      () => read("notices: both\nservers: { a: { url: x } }"),
      /notices: expected meta or content.*\n.*servers\.a\.url/,
    );
    const { placed } = read(`listen:\n  hosts: []\n${ONE}`);
    const late = async () => {
      throw invalidOption("listen.hosts", "names", []);
    };
    await assert.rejects(placed(late), /^MisuseError: gateway\.yaml:3:10: listen\.hosts: expected names/);
  });
});

describe("tollgate mcp --config", { timeout: 60_000 }, () => {
  it("serves clients with keys, by a policy of the file beside it", async (t) => {
    const server = await rawServer(t, json({ content: [{ type: "text", text: "done" }] }));
    const keys = join(folder, "keys.json");
    const { key } = createKey(keys, { scopes: ["decide"], tenants: ["acme"] });
    const reader = createKey(keys, { scopes: ["read"] });
    writeFileSync(
      join(folder, "policy.yaml"),
      "version: 1\nlimits: [{ name: of-key, per: [tenant, user], quota: 1 }, { name: of-session, per: [session], quota: 9 }]",
    );
    const file = `version: 1\nlisten: { port: 0 }\nauth: { keys: keys.json }\nservers: { one: { url: "${server.url}", credentials: none } }`;
    writeFileSync(join(folder, "gateway.yaml"), file);
    const options = ["--config", "gateway.yaml", "--policy", "policy.yaml", "--store", "memory:"];
    const child = spawn(process.execPath, [`${ROOT}bin/tollgate.js`, "mcp", ...options], { cwd: folder });
    t.after(() => child.kill());
    const said = text(child.stderr);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const [, url = ""] =
      /^tollgate: MCP clients reach one at (http:.*\/mcp)$/.exec(String((await lines.next()).value)) ?? [];

    const call = (id: number, bearer: string | null) =>
      ask(url, toolCall(id), bearer === null ? {} : { authorization: `Bearer ${bearer}` });
    assert.equal((await call(1, null)).status, 401);
    assert.equal((await call(2, reader.key)).status, 401);
    assert.equal((await call(3, key)).body.result?.isError, undefined);
    const denied = await call(4, key);
    assert.equal(denied.status, 200);
    assert.match(
      JSON.stringify(denied.body.result),
      /Limit reached \(of-key\), call denied: no calls are left for this tenant and user/,
    );
    assert.equal(server.seen.length, 1);
    assert.equal(server.seen[0]?.headers.authorization, undefined);

    child.kill();
    assert.equal(await new Promise((resolve) => child.once("close", resolve)), 0);
    assert.match(
      await said,
      /^tollgate: calls of these servers are limited by policy\.yaml; their counts are in memory:\ntollgate: gateway\.yaml has no secret: .*\ntollgate: of-session: all clients without a session of their own share one session, .*say identity\.session in gateway\.yaml\ntollgate: denied a call of "echo" \(of-key\): .*\n$/,
    );
  });

  it("says the address of all servers, and of each", () => {
    const file = join(folder, "two.yaml");
    const two = "a: { url: https://a, credentials: none }, b: { url: https://b, credentials: none }";
    writeFileSync(file, `version: 1\nservers: { ${two} }`);
    const log = { warn() {}, error() {} };
    const { addresses } = openGatewayFile(file, "--config", { policy, sharers: "", log });
    const running = { url: "http://h", ended: Promise.resolve(0), close: async () => {} };
    const each = ["a at http://h/mcp/a", "b at http://h/mcp/b"];
    assert.deepEqual(addresses(running), ["all servers at http://h/mcp", ...each]);
  });

  it("says what contradicts the file, and which file is wrong", async () => {
    const refusal = async (...args: readonly string[]) => {
      const failed = mcpCommand().parseAsync(args, { from: "user" });
      return messageOf(
        await failed.then(
          () => assert.fail("it ran"),
          (error) => error,
        ),
      );
    };
    assert.match(await refusal(), /-- COMMAND: expected the command of an MCP server, or --config FILE, got nothing/);
    assert.match(
      await refusal("--config", "x", "--", "y"),
      /-- COMMAND and --config: expected one of them, got "both"/,
    );
    assert.match(
      await refusal("--config", "x", "--user", "u1"),
      /--user: expected nothing beside --config: the file says it, got "u1"/,
    );
    assert.match(await refusal("--config", "x", "--url", "http://x"), /--url: expected a store beside --config/);
    process.env.TOLLGATE_URL = "http://x";
    assert.match(await refusal("--config", "x", "--policy", "y"), /--url: expected a store beside --config/);
    assert.match(await refusal("--config", "x", "--store", "memory:"), /--config: cannot read x/);
    delete process.env.TOLLGATE_URL;
    assert.match(
      await refusal("--config", join(folder, "none.yaml")),
      /--config: cannot read .*none\.yaml: there is no such file/,
    );
    const file = join(folder, "wrong.yaml");
    writeFileSync(file, `version: 1\nauth: { keys: none.json }\nservers: { a: { url: https://a, credentials: none } }`);
    assert.match(
      await refusal("--config", file),
      /wrong\.yaml:2:15: auth\.keys: expected a key file that can be read at .*none\.json/,
    );
    writeFileSync(file, `version: 1\nidentity: { user: { meta: x } }\nservers: { a: { url: https://a } }`);
    assert.match(
      await refusal("--config", file, "--store", "memory:"),
      /wrong\.yaml:2:19: identity\.user: expected a source that a client cannot make up/,
    );
  });
});
