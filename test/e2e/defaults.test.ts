// Commands use what `tollgate serve` uses unless they are told otherwise, and name what is wrong in the words of their user.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, describe, it, mock } from "node:test";
import { createLimiter } from "tollgate";
import { loadPolicy } from "tollgate/policy";
import { sqliteStore } from "tollgate/stores/sqlite";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";
import { demoCommand } from "../../src/cli/demo.ts";
import { doctorCommand } from "../../src/cli/doctor.ts";
import { exitCodeOf, messageOf } from "../../src/cli/exit.ts";
import { grantCommand } from "../../src/cli/grant.ts";
import { keysCommand } from "../../src/cli/keys.ts";
import { replayCommand } from "../../src/cli/replay.ts";
import { resetCommand } from "../../src/cli/reset.ts";
import { revokeCommand } from "../../src/cli/revoke.ts";
import { serveCommand } from "../../src/cli/serve.ts";
import { usageCommand } from "../../src/cli/usage.ts";
import { type Ran, tollgate, until } from "./tollgate.ts";

const COMMANDS = {
  demo: demoCommand,
  doctor: doctorCommand,
  grant: grantCommand,
  keys: keysCommand,
  replay: replayCommand,
  reset: resetCommand,
  revoke: revokeCommand,
  serve: serveCommand,
  usage: usageCommand,
};

/** Runs a command in this process, in a folder: most of the time of a process is its start. */
async function run([name, ...args]: readonly string[], cwd: string): Promise<Ran> {
  const [stdout, stderr]: [string[], string[]] = [[], []];
  const log = mock.method(console, "log", (text: string) => stdout.push(`${text}\n`));
  const error = mock.method(console, "error", (text: string) => stderr.push(`${text}\n`));
  process.chdir(cwd);
  let status = 0;
  try {
    await COMMANDS[name as keyof typeof COMMANDS]().parseAsync([...args], { from: "user" });
  } catch (thrown) {
    status = exitCodeOf(thrown);
    stderr.push(`${messageOf(thrown)}\n`);
  } finally {
    log.mock.restore();
    error.mock.restore();
  }
  return { status, stdout: stdout.join(""), stderr: stderr.join("") };
}

const folder = temporaryFolder();
const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
write("bad.yaml", "version: 1\nlimits:\n  - { name: a, per: [session], quota: -1 }\n");
write("policy.yaml", "version: 1\nlimits: [{ name: own, per: [session, workspace], quota: 5 }]\n");
write("broken.json", '{ "version": 1,');
write("map.yaml", "domains:\n  a:\n    - { match: { s: '*' }, tool: x, dimensions: { sesion: s } }\n");
write("trace.jsonl", '{"session":"s","turn":1,"tool":"x"}\n');
write("bad-trace.jsonl", '{"session":"s","turn":1,"tool":"x"}\n{"session":"s","turn":1,"tol":"x"}\n');
mkdirSync(join(folder, "folder"));

describe("the defaults", () => {
  const where = temporaryFolder();

  it("do not create a store: a command that reads one prints where it looked, and what to do", async () => {
    for (const args of [
      ["usage", "--session", "s"],
      ["reset", "--yes", "--limit", "calls-per-session", "--session", "s"],
      ["grant", "--limit", "calls-per-session", "--session", "s", "--units", "1", "--duration", "1h", "--reason", "x"],
      ["revoke", "--limit", "calls-per-session", "--session", "s", "--id", "g"],
      ["doctor"],
    ]) {
      const { status, stdout, stderr } = await run(args, where);
      assert.deepEqual([status, stdout], [2, ""], args.join(" "));
      assert.match(
        stderr,
        /--store: expected a SQLite file that exists: run the command in the folder where `tollgate se/,
      );
      assert.ok(stderr.includes(join(where, "tollgate.db")), stderr);
    }
    assert.ok(!existsSync(join(where, "tollgate.db")));
  });

  it("are the sample policy and the file of serve, for every command", async () => {
    const store = sqliteStore(join(where, "tollgate.db"));
    const limiter = createLimiter({ policy: loadPolicy(`${ROOT}sample-policy.yaml`), store });
    await limiter.consume({ tool: "x", session: "s", turn: "t" });
    await limiter.close();
    const bucket = ["--limit", "calls-per-session", "--session", "s"];
    const json = async (...args: string[]) => JSON.parse((await run([...args, "--json"], where)).stdout);
    const [usage] = await json("usage", "--session", "s");
    assert.deepEqual([usage.limit, usage.used], ["calls-per-session", 1]);
    const shown = await run(["usage", "--session", "s"], where);
    assert.match(shown.stderr, /sample-policy\.yaml: a sample; copy it to tollgate\.yaml, or name yours with --policy/);
    const audit = ["--audit", "audit.jsonl"];
    const grant = ["--units", "5", "--duration", "1h", "--reason", "a test", "--id", "g"];
    assert.equal((await json("grant", ...bucket, ...grant, ...audit)).granted, 5);
    assert.equal((await json("revoke", ...bucket, "--id", "g", ...audit)).revoked, true);
    assert.equal((await json("reset", "--yes", ...bucket, ...audit)).before.used, 1);
    assert.equal((await json("doctor")).reachable, true);
    const replayed = await tollgate(["replay", join(folder, "trace.jsonl")], where);
    assert.match(replayed.stdout, /^policy +.*sample-policy\.yaml: a sample/m);
    const unknown = await run(["reset", "--yes", "--limit", "own", ...audit], where);
    assert.match(
      unknown.stderr,
      /--limit: .*calls-per-session.* \(of the sample: name yours with --policy\), got "own"/,
    );
  });

  it("are shown by the help of each command, and are in the docs", () => {
    const page = readFileSync(`${ROOT}docs/cli.md`, "utf8");
    for (const command of ["serve", "usage", "reset", "grant", "revoke", "doctor"] as const) {
      const help = COMMANDS[command]().helpInformation().replace(/\s+/g, " ");
      assert.match(help, /\(default: "sqlite:tollgate\.db", env: TOLLGATE_STORE\)/, command);
      if (command !== "doctor")
        assert.match(
          help,
          /\(default: tollgate\.yaml in this folder, else a sample policy, env: TOLLGATE_POLICY\)/,
          command,
        );
      assert.match(
        page,
        new RegExp(`\\| \`--store\` +\\| \`TOLLGATE_STORE\` +\\| \`sqlite:tollgate\\.db\`.*\`${command}\``),
      );
    }
    for (const url of ["memory:", "sqlite:", "postgres:", "redis:", "rediss:"])
      assert.ok(page.includes(`\`${url}`), url);
    for (const url of ["redis+cluster:", "rediss+cluster:", "redis+sentinel:", "rediss+sentinel:"])
      assert.ok(page.includes(`\`${url}`), url);
  });

  it("do not choose a bucket: usage lists the options that each limit needs", async () => {
    const { status, stdout } = await run(["usage"], where);
    assert.equal(status, 0);
    assert.match(stdout, /^calls-per-session +--session$/m);
    assert.match(stdout, /^same-call-again +--session --turn --tool --args$/m);
  });
});

describe("an unusable argument", () => {
  const server = createServer().listen(0, "127.0.0.1");
  after(() => server.close());
  const memory = ["--store", "memory:", "--port", "0"];
  const reset = [
    "reset",
    "--yes",
    "--policy",
    "policy.yaml",
    "--store",
    "sqlite:state.db",
    "--limit",
    "own",
    "--session",
    "s",
  ];
  const whole = [...reset, "--dimension", "workspace=w"];
  const cases: [args: readonly string[], message: RegExp, status?: number][] = [
    [["serve", ...memory, "--policy", "bad.yaml"], /^tollgate: bad\.yaml:3:\d+: limits\[0\]\.quota: /],
    [["serve", ...memory, "--policy", "folder"], /--policy: cannot read folder: it is a folder \(EISDIR\)/],
    [
      ["usage", "--policy", "none.yaml"],
      /--policy: cannot read none\.yaml: there is no such file or folder \(ENOENT\)/,
    ],
    [["usage", "--policy", "bad.yaml"], /^tollgate: bad\.yaml:3:/],
    [
      ["serve", ...memory, "--keys", "broken.json"],
      /--keys: expected a key file as `tollgate keys create` writes it, at broken\.json, got no JSON/,
    ],
    [
      ["keys", "list", "--file", "none.json"],
      /--file: .* at none\.json, got there is no such file or folder \(ENOENT\)/,
    ],
    [["keys", "list", "--file", "folder"], /--file: .* at folder, got it is a folder \(EISDIR\)/],
    [["serve", ...memory, "--journal", "folder"], /--journal: cannot write folder: it is a folder \(EISDIR\)/],
    [["serve", "--port", "many"], /--port: expected a whole number from 0 to 65535, got "many"/],
    [["serve", "--port=-1"], /--port: expected a whole number from 0 to 65535, got "-1"/],
    [["serve", "--instances", "many"], /--instances: expected a whole number from 1 to 10000, got "many"/],
    [["serve", ...memory, "--tls-cert", "none.pem", "--tls-key", "k"], /--tls-cert: cannot read none\.pem/],
    [
      ["serve", ...memory, "--tls-cert", "bad.yaml", "--tls-key", "bad.yaml"],
      /--tls-cert: bad\.yaml is no certificate in PEM/,
    ],
    [["serve", ...memory, "--audit", "none/a"], /--audit: cannot write none\/a: there is no such file or folder/],
    [["serve", ...memory, "--journal", "none/j"], /--journal: cannot write none\/j: there is no such file or folder/],
    [["serve", ...memory, "--host", "203.0.113.9"], /--host: expected 127\.0\.0\.1, /],
    [["serve", ...memory, "--port", "99999"], /--port: expected a whole number from 0 to 65535, got 99999/],
    [["serve", ...memory, "--prefix", "a b"], /--prefix: expected 1 to 64 letters/],
    [["serve", ...memory, "--instances", "0"], /--instances: expected a whole number from 1/],
    [["serve", ...memory, "--set", "drainMs=9999999"], /--set drainMs: expected a whole number from 0 to 600000/],
    [
      ["serve", ...memory, "--envoy", "127.0.0.1:0", "--envoy-map", "map.yaml"],
      /map\.yaml:3:\d+: mapping\..*, got "sesion"/,
    ],
    [["serve", ...memory, "--envoy", "127.0.0.1:0", "--envoy-map", "none"], /--envoy-map: cannot read none/],
    [["serve", ...memory, "--envoy", "127.0.0.1:99999", "--envoy-map", "map.yaml"], /map\.yaml|--envoy/],
    [["replay", "bad-trace.jsonl"], /bad-trace\.jsonl:2: tool: /],
    [
      ["keys", "create", "--file", "none/k", "--scope", "read"],
      /--file: expected a folder in which none\/k can be written/,
    ],
    [["keys", "create", "--file", "k", "--scope", "read", "--tenant", ""], /--tenant: expected 1 to 1,000 tenants/],
    [["keys", "revoke", "abc", "--file", "k"], /ID: expected the id of a key in k, got "abc"/],
    [
      ["reset", "--yes", "--policy", "policy.yaml", "--store", "sqlite:state.db", "--limit", "own"],
      /--session: expected/,
    ],
    [reset, /--dimension workspace=VALUE: expected .*because the limit own is per session, workspace/],
    [[...whole, "--dimension", "team=t"], /--dimension: expected only .*workspace.*, got "team"/],
    [[...whole, "--args", "{bad"], /--args: expected JSON such as .*, got "\{bad" \(.*position 1/],
    [["grant", ...whole.slice(2), "--units", "many", "--duration", "1h", "--reason", "x"], /--units: .*, got "many"/],
    [
      ["grant", ...whole.slice(2), "--units", "0", "--duration", "1h", "--reason", "x"],
      /--units: expected a whole number from 1/,
    ],
    [
      ["grant", ...whole.slice(2), "--units", "1", "--duration", "soon", "--reason", "x"],
      /--duration: .*at most .*, got "soon"/,
    ],
    [["grant", ...whole.slice(2), "--units", "1", "--duration", "1h", "--reason", ""], /--reason: expected 1 to 500/],
    [
      ["grant", ...whole.slice(2), "--units", "1", "--duration", "1h", "--reason", "x", "--id", "a b"],
      /--id: expected 1 to 64/,
    ],
    [[...whole, "--audit", "none/a"], /--audit: cannot write none\/a/],
    [["demo", "--store", "sqlite:none/x.db"], /none\/x\.db: unable to open database file: its folder must be there/, 3],
  ];

  it("is reported with its option, its file and its position", async () => {
    await sqliteStore(join(folder, "state.db")).close();
    for (const [args, message, status = 2] of cases) {
      const ran = await run(args, folder);
      assert.match(ran.stderr, message, args.join(" "));
      assert.equal(ran.status, status, `${args.join(" ")}: ${ran.stderr}`);
    }
  });

  it("is misuse in nested commands, too, with a hint to the help", async () => {
    for (const [args, message] of [
      [["keys", "list"], /required option '--file <file>' not specified/],
      [["keys", "revoke", "--file", "k"], /missing required argument 'id'/],
      [["keys", "list", "--file", "k", "--jsn"], /unknown option '--jsn'/],
    ] as const) {
      const { status, stderr } = await tollgate(args, folder);
      assert.match(stderr, message);
      assert.match(stderr, /\(--help shows what there is\)/);
      assert.equal(status, 2);
    }
  });

  it("that is an address is reported with the port or the host, and what to choose instead", async () => {
    await until(() => server.listening);
    const { port } = server.address() as { port: number };
    write(
      "fine-map.yaml",
      "domains: { a: [{ match: { s: '*' }, tool: x, dimensions: { session: s, workspace: w } }] }",
    );
    const envoy = ["--policy", "policy.yaml", "--envoy-map", "fine-map.yaml", "--envoy"];
    for (const [args, message] of [
      [["--port", `${port}`], `Port ${port} on 127.0.0.1 is already in use. Choose another with --port. (EADDRINUSE)`],
      [
        ["--port", "0", ...envoy, `127.0.0.1:${port}`],
        `Port ${port} on 127.0.0.1 is already in use. Choose another with --envoy. (EADDRINUSE)`,
      ],
      [
        ["--port", "0", ...envoy, "203.0.113.9:8421"],
        "203.0.113.9 is no address of this machine. Choose one of its own with --envoy, such as 127.0.0.1. (EADDRNOTAVAIL)",
      ],
    ] as const) {
      const { status, stderr } = await run(["serve", "--store", "memory:", ...args], folder);
      assert.equal(status, 2, stderr);
      assert.ok(stderr.endsWith(`tollgate: ${message}\n`), stderr);
    }
    await run(["keys", "create", "--file", "keys.json", "--scope", "read"], folder);
    const keyed = ["serve", "--store", "memory:", "--keys", "keys.json", "--port", "0", "--host"];
    const none = await run([...keyed, "no-such-host.invalid"], folder);
    assert.match(none.stderr, /no-such-host\.invalid.*--host.*\((ENOTFOUND|EAI_AGAIN)\)/);
    const other = await run([...keyed, "203.0.113.9"], folder);
    assert.match(other.stderr, /^tollgate: 203\.0\.113\.9 is no address of this machine\. .*--host/);
  });
});
