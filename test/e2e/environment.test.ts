import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createLimiter } from "tollgate";
import { loadPolicy } from "tollgate/policy";
import { createService, type Service } from "tollgate/service";
import { type Listening, listen } from "tollgate/service/node";
import { memoryStore } from "tollgate/stores/memory";
import { sqliteStore } from "tollgate/stores/sqlite";
import { keyFile } from "../../src/service/key-file.ts";
import { LOADER, ROOT } from "../sources.ts";
import { tollgate } from "./tollgate.ts";

const POLICY = "version: 1\nlimits: [{ name: per-session, per: [session], quota: 5 }]\n";
const OF_SERVE = ["HOST", "PORT", "KEYS", "TLS_CERT", "TLS_KEY", "AUDIT", "INSTANCES", "JOURNAL", "LOG_LEVEL"];
const BUCKET = ["--limit", "per-session", "--session", "s"];

const folder = mkdtempSync(join(tmpdir(), "tollgate-environment-"));
const write = (name: string, content: string) => writeFileSync(join(folder, name), content);
const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}) => tollgate(args, folder, env);

async function json(args: readonly string[], env?: NodeJS.ProcessEnv) {
  const { status, stdout, stderr } = await run([...args, "--json"], env);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

before(async () => {
  write("mine.yaml", POLICY);
  write("store-url", "sqlite:mine.db\n");
  const policy = loadPolicy(join(folder, "mine.yaml"));
  const limiter = createLimiter({ policy, store: sqliteStore(join(folder, "mine.db")), prefix: "mine" });
  await limiter.consume({ tool: "search", session: "s" });
  await limiter.close();
});
after(() => rmSync(folder, { recursive: true }));

const mine = { TOLLGATE_POLICY: "mine.yaml", TOLLGATE_STORE: "sqlite:mine.db", TOLLGATE_PREFIX: "mine" };

describe("the environment", () => {
  it("sets policy, store and prefix, and a flag wins over it", async () => {
    const [usage] = await json(["usage", "--session", "s"], mine);
    assert.deepEqual([usage.limit, usage.used], ["per-session", 1]);
    const [other] = await json(["usage", "--session", "s", "--prefix", "other"], mine);
    assert.equal(other.used, 0);
    const checked = await run(["check"], mine);
    assert.equal(checked.stdout, "mine.yaml: fine, 1 limit\n");
  });

  it("names a file that holds the store's URL, as a flag does", async () => {
    const { TOLLGATE_STORE: _, ...rest } = mine;
    const [byVariable] = await json(["usage", "--session", "s"], { ...rest, TOLLGATE_STORE_FILE: "store-url" });
    assert.equal(byVariable.used, 1);
    const nowhere = { ...rest, TOLLGATE_STORE: "sqlite:none.db" };
    const [byFlag] = await json(["usage", "--session", "s", "--store-file", "store-url"], nowhere);
    assert.equal(byFlag.used, 1, "a flag wins over the environment");
    write("two-lines", "sqlite:a.db\nsqlite:b.db\n");
    for (const [args, message] of [
      [["--store", "sqlite:mine.db", "--store-file", "store-url"], /--store and --store-file: expected one of them/],
      [["--store-file", "none"], /--store-file: cannot read none: there is no such file/],
      [["--store-file", "two-lines"], /--store-file: expected a file with one line, the store's URL/],
    ] as const) {
      const ran = await run(["usage", "--session", "s", ...args], rest);
      assert.match(ran.stderr, message);
      assert.equal(ran.status, 2);
    }
  });

  it("is named by the help of each command, and by the docs", async () => {
    const stdout = (await run(["serve", "--help"])).stdout.replaceAll(/\s+/g, " ");
    for (const name of [...OF_SERVE, "POLICY", "STORE", "STORE_FILE", "PREFIX"])
      assert.match(stdout, new RegExp(`env: TOLLGATE_${name}\\b`), name);
    const page = readFileSync(`${ROOT}docs/cli.md`, "utf8");
    for (const name of [...OF_SERVE, "POLICY", "STORE", "STORE_FILE", "PREFIX", "URL", "API_KEY"])
      assert.ok(page.includes(`\`TOLLGATE_${name}\``), name);
  });
});

describe("the environment of serve", () => {
  it("sets its files and its address, so that none is silently missing", async () => {
    for (const [env, message] of [
      [{ TOLLGATE_KEYS: "none.json" }, /TOLLGATE_KEYS: .*none\.json/],
      [{ TOLLGATE_AUDIT: "none/a" }, /TOLLGATE_AUDIT: cannot write none\/a/],
      [{ TOLLGATE_JOURNAL: "none/j" }, /TOLLGATE_JOURNAL: cannot write none\/j/],
      [{ TOLLGATE_INSTANCES: "many" }, /^tollgate: TOLLGATE_INSTANCES: expected a whole number/],
      [{ TOLLGATE_TLS_CERT: "none.pem" }, /TOLLGATE_TLS_CERT and --tls-key: expected both of them/],
      [{ TOLLGATE_PORT: "many" }, /TOLLGATE_PORT: expected a whole number/],
      // As Kubernetes sets it for a service that is called tollgate.
      [{ TOLLGATE_PORT: "tcp://10.0.0.1:8420", TOLLGATE_KEYS: "none.json" }, /TOLLGATE_KEYS: .*none\.json/],
      [
        { TOLLGATE_PORT_8420_TCP: "tcp://10.0.0.1:8420", TOLLGATE_SERVICE_HOST: "10.0.0.1", TOLLGATE_PORT: "many" },
        /TOLLGATE_PORT: expected/,
      ],
    ] as const) {
      const { status, stderr } = await run(["serve"], { TOLLGATE_STORE: "memory:", ...env });
      assert.match(stderr, message);
      assert.equal(status, 2);
    }
  });
});

describe("a variable that no command reads", () => {
  it("is refused where it is probably a typo, and ignored otherwise", async () => {
    for (const [name, meant] of [
      ["TOLLGATE_KEY", "TOLLGATE_KEYS"],
      ["TOLLGATE_KEYS_FILE", "TOLLGATE_KEYS"],
      ["TOLLGATE_KEY_FILE", "TOLLGATE_KEYS"],
      ["TOLLGATE_PREFXI", "TOLLGATE_PREFIX"],
      ["TOLLGATE_KEYFILE", "TOLLGATE_KEYS"],
      ["TOLLGATE_MY_KEY_PATH", "TOLLGATE_KEYS"],
      ["TOLGATE_KEYS", "TOLLGATE_KEYS"],
      ["tollgate_keys", "TOLLGATE_KEYS"],
      ["TollGate_Policy", "TOLLGATE_POLICY"],
      ["TOLLGATE_API_KEYS", "TOLLGATE_API_KEY"],
    ] as const) {
      const { status, stderr } = await run(["usage", "--session", "s"], { [name]: "a secret" });
      const expected = `${name}: expected the name of a variable that Tollgate reads, got one that it does not read. Did you mean ${meant}?`;
      assert.ok(stderr.startsWith(`tollgate: ${expected}`), stderr);
      assert.doesNotMatch(stderr, /a secret/);
      assert.equal(status, 2);
    }
    const serve = await run(["serve"], { TOLLGATE_API_KEYS: "keys.json" });
    assert.match(serve.stderr, /^tollgate: TOLLGATE_API_KEYS: .* Did you mean TOLLGATE_KEYS\?/);
    const bound = await run(["serve"], { TOLLGATE_MAX_IN_FLIGHT: "9" });
    assert.match(bound.stderr, /TOLLGATE_MAX_IN_FLIGHT: .* Say --set maxInFlight=NUMBER: it has no variable\./);
    assert.deepEqual([serve.status, bound.status], [2, 2]);
    const foreign = { KEYS: "x", GATE_KEY: "x", TOLLGATE_KEYS_SERVICE_HOST: "10.0.0.1" };
    const own = {
      ...foreign,
      TOLLGATE_RELEASE: "7",
      TOLLGATE_TEST_REDIS_URL: "x",
      TOLLGATE_REDIS_PORT_6379_TCP_ADDR: "10.0.0.1",
    };
    assert.equal((await run(["usage", "--session", "s"], { ...mine, ...own })).status, 0);
  });

  it("and a file with a store's URL are named by the error", async () => {
    write("wrong-url", "redsi://redis\n");
    const { stderr } = await run(["usage", "--session", "s", "--store-file", "wrong-url"]);
    assert.match(stderr, /^tollgate: wrong-url \(--store-file\): expected sqlite:PATH/);
    const byFlag = await run(["usage", "--session", "s", "--store", "redsi://redis"], { TOLLGATE_STORE: "sqlite:x" });
    assert.match(byFlag.stderr, /^tollgate: --store: expected sqlite:PATH/);
  });
});

describe("tollgate.yaml in the folder", () => {
  it("is the default policy of each command", async () => {
    const none = await run(["check"]);
    assert.match(
      none.stderr,
      /cannot read tollgate\.yaml: there is no such file.*\. Name a policy: tollgate check FILE$/m,
    );
    assert.equal(none.status, 2);
    write("tollgate.yaml", POLICY.replace("per-session", "of-the-folder"));
    try {
      assert.equal((await run(["check"])).stdout, "tollgate.yaml: fine, 1 limit\n");
      const [usage] = await json(["usage", "--session", "s", "--store", "sqlite:mine.db"]);
      assert.equal(usage.limit, "of-the-folder");
    } finally {
      rmSync(join(folder, "tollgate.yaml"));
    }
  });
});

describe("options that may be repeated", () => {
  it("take one value each, and not the next argument", async () => {
    const create = ["keys", "create", "--file", "k.json", "--scope", "decide", "--scope", "read"];
    const made = await json([...create, "--tenant", "a", "--tenant", "b"]);
    const [key] = await json(["keys", "list", "--file", "k.json"]);
    assert.deepEqual(
      { id: key.id, scopes: key.scopes, tenants: key.tenants },
      { id: made.id, scopes: ["decide", "read"], tenants: ["a", "b"] },
    );
    const joined = await run(["keys", "create", "--file", "k.json", "--scope", "decide,read"]);
    assert.match(
      joined.stderr,
      /--scope: expected one of .*, got "decide,read"\. Write --scope decide --scope read\.$/m,
    );
    assert.equal(joined.status, 2);
    const swallowed = await run(["keys", "create", "--file", "k.json", "--scope", "decide", "read"]);
    assert.match(swallowed.stderr, /too many arguments/);
    assert.equal(swallowed.status, 2);
  });
});

describe("--url", () => {
  let service: Service;
  let server: Listening;
  let env: NodeJS.ProcessEnv;

  before(async () => {
    const { key } = await json(["keys", "create", "--file", "keys.json", "--scope", "read", "--scope", "admin"]);
    const keys = keyFile(join(folder, "keys.json"));
    service = createService({ policy: POLICY, store: memoryStore(), keys });
    server = await listen(service, { port: 0 });
    env = { TOLLGATE_URL: server.url, TOLLGATE_API_KEY: key };
    await service.limiter.consume({ tool: "search", session: "s" });
  });
  after(() => server.close());

  it("uses a service instead of a store", async () => {
    const [usage] = await json(["usage", "--session", "s"], env);
    assert.deepEqual([usage.limit, usage.used], ["per-session", 1]);
    const { TOLLGATE_URL: url = "", ...key } = env;
    const [byFlag] = await json(["usage", "--session", "s", "--url", url], key);
    assert.equal(byFlag.used, 1);
    const nothing = await run(["usage"], env);
    assert.equal(
      nothing.stdout,
      "No limit of the service has all of its dimensions given. Add those of a limit's per, such as --session, --turn and --tool.\n",
    );
    const { before: first, after: then } = await json(["reset", ...BUCKET, "--yes", "--reason", "a test"], env);
    assert.deepEqual([first.used, then.used], [1, 0]);
  });

  it("acts for a tenant", async () => {
    await service.limiter.consume({ tool: "search", session: "acme/s2" });
    const whose = ["--session", "s2", "--as-tenant", "acme"];
    const [usage] = await json(["usage", ...whose], env);
    assert.deepEqual([usage.used, usage.dimensions], [1, { session: "s2" }]);
    const { before: first } = await json(["reset", "--yes", "--limit", "per-session", ...whose], env);
    assert.equal(first.used, 1);
    const named = ["--limit", "per-session", "--session", "s2", "--tenant", "acme"];
    const { status, stderr } = await run(["reset", "--yes", ...named], env);
    assert.match(stderr, /--tenant: expected nothing, .* say --as-tenant "acme"\.$/m);
    assert.equal(status, 2);
  });

  it("leaves the audit log to the service", async () => {
    const { stderr } = await run(["reset", ...BUCKET, "--yes", "--json"], env);
    assert.equal(stderr, "");
  });

  it("loses against a store's flag in the environment, and is refused beside one", async () => {
    const flags = ["--policy", "mine.yaml", "--store", "sqlite:mine.db", "--prefix", "mine"];
    const [usage] = await json(["usage", "--session", "s", ...flags], env);
    assert.equal(usage.used, 1);
    for (const [args, message] of [
      [["--url", server.url, "--store", "sqlite:mine.db"], /--store: expected nothing beside --url/],
      [["--url", server.url, "--store-file", "store-url"], /--store-file: expected nothing beside --url/],
      [["--url", server.url, "--policy", "mine.yaml"], /--policy: expected nothing beside --url/],
      [["--url", "nowhere"], /--url: expected where the service is/],
    ] as const) {
      const ran = await run(["usage", "--session", "s", ...args]);
      assert.match(ran.stderr, message);
      assert.equal(ran.status, 2);
    }
  });

  it("is refused beside the policy of a store, also where the environment names the service", async () => {
    const { status, stderr } = await run(["usage", "--session", "s", "--policy", "mine.yaml"], env);
    assert.match(stderr, /--policy: expected nothing beside TOLLGATE_URL: the service has its own/);
    assert.equal(status, 2);
  });

  it("reports a wrong key and an unreachable service", async () => {
    const wrong = await run(["usage", "--session", "s"], { ...env, TOLLGATE_API_KEY: "not a key" });
    assert.match(wrong.stderr, /TOLLGATE_API_KEY: expected an API key/);
    assert.equal(wrong.status, 2);
    const foreign = await run(["usage", "--session", "s"], { ...env, TOLLGATE_API_KEY: "sk-none" });
    assert.match(
      foreign.stderr,
      /TOLLGATE_API_KEY: expected an API key of the service, which begins with tg_, got another text$/m,
    );
    const { key: reader } = await json(["keys", "create", "--file", "readers.json", "--scope", "read"]);
    for (const [args, more, message] of [
      [["usage"], { TOLLGATE_API_KEY: undefined }, /The service needs an API key: set TOLLGATE_API_KEY to one that/],
      [
        ["usage"],
        { TOLLGATE_API_KEY: "tg_none_none" },
        /The service does not know the API key in TOLLGATE_API_KEY: it is incomplete, was/,
      ],
      [
        ["usage"],
        { TOLLGATE_API_KEY: reader },
        /The service does not know the API key in TOLLGATE_API_KEY: it is incomplete, was/,
      ],
      [["usage"], { TOLLGATE_URL: `${server.url}/limits` }, /404: There is no such path/],
      [
        ["usage"],
        { TOLLGATE_URL: `${server.url}/v1` },
        /TOLLGATE_URL: expected where the service is, .*without the \/v1/,
      ],
    ] as const) {
      const { status, stderr } = await run([...args, "--session", "s"], { ...env, ...more });
      assert.match(stderr, message);
      assert.equal(status, 2, stderr);
    }
    const tls = await run(["usage", "--session", "s"], { ...env, TOLLGATE_URL: server.url.replace("http", "https") });
    assert.match(tls.stderr, /It speaks no TLS there: write http:\/\/ instead of https:\/\//);
    assert.equal(tls.status, 3);
    const away = await run(["usage", "--session", "s"], { ...env, TOLLGATE_URL: "http://127.0.0.1:9" });
    assert.match(away.stderr, /ECONNREFUSED|bad port/);
    assert.equal(away.status, 3, away.stderr);
  });
});

/** Only this one takes a command and returns its exit code. */
const hasTerminal = /util-linux/.test(spawnSync("script", ["--version"], { encoding: "utf8" }).stdout ?? "");

describe("the key file", () => {
  it("is set by the variable of serve", async () => {
    const env = { TOLLGATE_KEYS: "by-variable.json" };
    const made = await json(["keys", "create", "--scope", "read"], env);
    const [key] = await json(["keys", "list"], env);
    assert.equal(key.id, made.id);
  });
});

describe("reset without a terminal", () => {
  it("needs --yes, and changes nothing without it", async () => {
    const { status, stdout, stderr } = await run(["reset", ...BUCKET], mine);
    assert.match(
      stderr,
      /^tollgate: --yes: expected this option, because .* Nothing was changed\. Say --yes to go ahead\.$/m,
    );
    assert.deepEqual([status, stdout], [2, ""]);
    const [usage] = await json(["usage", "--session", "s"], mine);
    assert.equal(usage.used, 1);
  });
});

describe("reset at a terminal", { skip: hasTerminal ? false : "there is no `script` of util-linux" }, () => {
  /** Runs the command in a terminal of its own, and answers what it asks. */
  async function atTerminal(args: readonly string[], answer: string) {
    const command = [process.execPath, LOADER, `${ROOT}bin/tollgate.js`, ...args].map((word) => `'${word}'`).join(" ");
    const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], { cwd: folder });
    const deadline = setTimeout(() => child.kill(), 30_000);
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (chunk) => {
      output += chunk;
      if (chunk.includes("[y/N]")) child.stdin.write(answer);
    });
    const status = await new Promise((resolve) => child.once("close", resolve));
    clearTimeout(deadline);
    return { status, output };
  }

  const reset = ["reset", ...BUCKET, "--policy", "mine.yaml", "--store", "sqlite:mine.db", "--prefix", "mine"];

  it("asks first, and does nothing unless the answer is yes", async () => {
    const no = await atTerminal(reset, "n\n");
    assert.match(no.output, /Empty the bucket of per-session for session=s, with its grants\? \[y\/N\]/);
    assert.match(no.output, /Nothing was changed\./);
    assert.equal(no.status, 1);
    const gone = await atTerminal(reset, "\x04");
    assert.equal(gone.status, 1, gone.output);
    const yes = await atTerminal(reset, "y\n");
    assert.match(yes.output, /Before:[\s\S]*1 call [\s\S]*After:[\s\S]*0 calls/);
    assert.equal(yes.status, 0);
    const unasked = await atTerminal([...reset, "--yes"], "");
    assert.doesNotMatch(unasked.output, /\[y\/N\]/);
    assert.equal(unasked.status, 0);
  });
});
