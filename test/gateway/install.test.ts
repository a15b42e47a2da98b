// Servers of a client's configuration, behind the gateway and back.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, it, type TestContext } from "node:test";
import { exitCodeOf, messageOf } from "../../src/cli/exit.ts";
import { mcpCommand } from "../../src/cli/mcp.ts";
import { CLIENTS, type ClientName, fileOf, type Place, type Scope } from "../../src/cli/mcp-install/clients.ts";
import { installing, isBehindGateway, type ServerEntry, uninstalling } from "../../src/cli/mcp-install/entry.ts";
import { gatewayWords } from "../../src/cli/mcp-install/gateway-words.ts";
import { jsonServers } from "../../src/cli/mcp-install/json-servers.ts";
import { tomlServers } from "../../src/cli/mcp-install/toml-servers.ts";
import { splice } from "../../src/gateway/json/splice.ts";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";
import { RAW_SERVER, request } from "./stdio-gateway.ts";

const GATEWAY = ["node", "/opt/tollgate.js", "mcp", "--policy", "/etc/a b.yaml"] as const;

const ofJson = (bytes: Buffer) => jsonServers(bytes, ["mcpServers"]);
const ofToml = (bytes: Buffer) => tomlServers(bytes, "mcp_servers");

/** The words that a client starts a server with. */
function wordsOf({ command, args }: ServerEntry): string[] {
  return [command?.value ?? "", ...(args?.items ?? []).map(({ value }) => value)];
}

/** Installs and uninstalls the servers of a text one by one, and checks each step. */
function roundTrip(original: string, read: (bytes: Buffer) => ServerEntry[]): string {
  const before = read(Buffer.from(original));
  let bytes: Buffer = Buffer.from(original);
  const entry = (name: string) => read(bytes).find((each) => each.name === name) as ServerEntry;
  for (const { name } of before) bytes = splice(bytes, installing(bytes, entry(name), GATEWAY));
  const installed = bytes.toString();
  for (const old of before) {
    assert.deepEqual(wordsOf(entry(old.name)), [...GATEWAY, "--", ...wordsOf(old)], installed);
    assert.ok(isBehindGateway(entry(old.name)));
  }
  // In the order in which they were installed, and so not backwards.
  for (const { name } of before) bytes = splice(bytes, uninstalling(bytes, entry(name)));
  assert.equal(bytes.toString(), original);
  return installed;
}

const JSON_TEXTS = {
  "in one line": '{"mcpServers":{"a":{"command":"npx","args":["-y","b"]},"c":{"args":["x"],"command":"d"}}}',
  "without arguments": '{"mcpServers": {"a": {"command": "b"}, "c":{"command":"d"}, "e": {\n  "command": "f"\n}}}',
  "with empty lists":
    '{"mcpServers":{"a":{"command":"b","args":[]},"c":{"command":"d","args":[ ]},"e":{"args":[\n],"command":"f"}}}',
  "with comments, commas at the end and CRLF":
    '\ufeff// " {\r\n{ /* , */ "mcpServers": {\r\n\t"ä": {\r\n\t\t"command": "b", // ]\r\n\t\t"args": [\r\n\t\t\t// "first"\r\n\t\t\t"--", "mcp", /* 2 */\r\n\t\t\t"\\u0061\\"//",\r\n\t\t],\r\n\t},\r\n} , }\r\n',
  "with keys twice": '{"mcpServers":{"a":{"command":"old","command":"b","args":["x"]}}}',
};

const TOML_TEXTS = {
  "as tables":
    'model = "x"\n\n[mcp_servers.a]\ncommand = "npx" # how\nargs = ["-y", "b"]\n\n[mcp_servers.a.env]\ncommand = "no"\n\n[mcp_servers."c d"]\ncommand = \'e\'\n',
  "over several lines, with CRLF":
    '[mcp_servers.a]\r\nargs = [ # first\r\n  "x", # "y"\r\n  \'z\',\r\n]\r\ncommand = "b"\r\n[mcp_servers.c]\r\ncommand = "d" # e\r\n',
  "as inline tables": 'mcp_servers = { a = { command = "b" }, "ä" = { args = [], command = """d""" } }',
  "with dots in keys": 'mcp_servers.a.command = "b"\n[mcp_servers]\nc.command = "d"\nc.args = [ ]',
  "beside texts that look like tables":
    'x = """\n[mcp_servers.no]\n\\""""\ny = \'\'\'\n[mcp_servers.no]\'\'\'\nz = 1979-05-27 07:32:00 # d\n[[w]]\nv = [ { u = 1.5 }, [ true ] ]\n[mcp_servers.a]\ncommand = "b"\nargs = ["x"]',
};

describe("an installed server", () => {
  for (const [what, original] of Object.entries(JSON_TEXTS)) {
    it(`is as before after it is uninstalled, in JSON ${what}`, () => void roundTrip(original, ofJson));
  }

  for (const [what, original] of Object.entries(TOML_TEXTS)) {
    it(`is as before after it is uninstalled, in TOML ${what}`, () => {
      assert.ok(ofToml(Buffer.from(original)).length > 0);
      roundTrip(original, ofToml);
    });
  }

  it("keeps the form of its neighbours", () => {
    const lines = (args: string) =>
      `{ "mcpServers": { "a": {\n    "command": "npx",\n    "args": [\n      ${args}"-y",\n      "b"\n    ]\n} } }`;
    const own = '"/opt/tollgate.js", "mcp", "--policy", "/etc/a b.yaml", "--", "npx",\n      ';
    assert.equal(roundTrip(lines(""), ofJson), lines(own).replace('"npx",', '"node",'));
    const toml = "[mcp_servers.a]\ncommand = 'b'\n";
    assert.equal(
      roundTrip(toml, ofToml),
      '[mcp_servers.a]\ncommand = "node"\nargs = [ "/opt/tollgate.js", "mcp", "--policy", "/etc/a b.yaml", "--", \'b\']\n',
    );
  });

  it("starts as before when others have formatted the file, or written it by hand", () => {
    const undone = (text: string) => {
      const bytes = Buffer.from(text);
      return splice(bytes, uninstalling(bytes, ofJson(bytes)[0] as ServerEntry)).toString();
    };
    const formatted = '{"mcpServers":{"a":{"command":"node","args":["/x/tollgate.js","mcp","--","b",]}}}';
    assert.equal(undone(formatted), '{"mcpServers":{"a":{"command":"b","args":[]}}}');
    const byHand =
      '{"mcpServers":{"a":{"command":"npx","args":["-y","tollgate@1.2.3","mcp","--user","mcp","--","b","--","c"]}}}';
    assert.equal(undone(byHand), '{"mcpServers":{"a":{"command":"b","args":["--","c"]}}}');
    assert.equal(undone('{"mcpServers":{"a":{"command":"mcp","args":["--","b"]}}}').includes('"mcp"'), true);
  });
});

const folder = temporaryFolder();
const POLICY = join(folder, "policy.yaml");
writeFileSync(POLICY, "version: 1\nlimits:\n  - { name: calls, per: [user], quota: 9 }\n");
const CONFIG = `{
  // mine
  "mcpServers": {
    "raw": { "command": ${JSON.stringify(process.execPath)}, "args": [${JSON.stringify(RAW_SERVER)}] },
    "remote": { "url": "https://name:password@example.com/mcp?key=secret" }
  }
}
`;

/** A configuration of Cursor. */
function configIn(name: string, content = CONFIG): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

/** Runs a command of `tollgate mcp` as its user does. Returns what it prints, or what it refuses with. */
async function run(t: TestContext, ...args: readonly string[]): Promise<string> {
  process.argv[1] = `${ROOT}bin/tollgate.js`;
  const printed: string[] = [];
  const keep = (line: string) => void printed.push(line);
  const [log, error] = (["log", "error"] as const).map((name) => t.mock.method(console, name, keep));
  try {
    await mcpCommand().parseAsync(args, { from: "user" });
  } catch (thrown) {
    assert.equal(exitCodeOf(thrown), 2);
    printed.push(messageOf(thrown));
  } finally {
    log?.mock.restore();
    error?.mock.restore();
  }
  return printed.join("\n");
}

describe("tollgate mcp install", { timeout: 60_000 }, () => {
  it("shows the change, and writes nothing unless it is asked to", async (t) => {
    const file = configIn("shown.json");
    const shown = await run(t, "install", "cursor", "--file", file, "--policy", POLICY);
    assert.match(
      shown,
      /^Left as it is: remote \(at an address\)\.\n--- .*shown\.json\n\+\+\+ raw behind the gateway\n@@ line 4 @@\n- {4}"raw": .*\n\+ {4}"raw": .*"mcp", "--policy", .*\nNothing was written\. Add --write/,
    );
    assert.equal(readFileSync(file, "utf8"), CONFIG);
  });

  it("writes the file as a whole with its mode, keeps the old one, and starts the server; uninstall brings it back", async (t) => {
    const target = configIn("target.json");
    chmodSync(target, 0o640);
    const file = join(folder, "link.json");
    symlinkSync(target, file);
    assert.match(
      await run(t, "install", "cursor", "raw", "--file", file, "--policy", POLICY, "--write"),
      /raw is behind the gateway\.\n.*before-last-change\. Restart Cursor/,
    );
    assert.equal(statSync(target).mode & 0o777, 0o640);
    assert.ok(lstatSync(file).isSymbolicLink());
    assert.equal(readFileSync(`${file}.before-last-change`, "utf8"), CONFIG);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith(".tmp")),
      [],
    );

    const [command = "", ...args] = wordsOf(ofJson(readFileSync(file))[0] as ServerEntry);
    const env = { ...process.env, XDG_STATE_HOME: folder };
    const child = spawn(command, args, { env, stdio: ["pipe", "pipe", "ignore"] });
    child.stdin.end(`${request(1, "ping")}\n`);
    assert.deepEqual(JSON.parse(await text(child.stdout)).id, 1);

    assert.match(await run(t, "uninstall", "cursor", "--file", file, "--write"), /raw is no longer behind the gateway/);
    assert.equal(readFileSync(target, "utf8"), CONFIG);
  });

  it("says why it changes nothing", async (t) => {
    const file = configIn("refused.json");
    const refusal = (...args: readonly string[]) => run(t, ...args, "--file", file);
    assert.match(
      await refusal("install", "cursor", "no"),
      /SERVER: expected one of the servers in .*: raw, remote, got "no"/,
    );
    const remote = await refusal("install", "cursor", "remote");
    assert.match(
      remote,
      /remote: expected a server that the client starts with a command.*npx.*mcp-remote.*got "https:…@example\.com/,
    );
    assert.doesNotMatch(remote, /secret|password/);
    assert.match(
      await refusal("uninstall", "cursor", "raw"),
      /expected a server that is behind the gateway, got "raw"/,
    );
    assert.match(
      await refusal("install", "claude-desktop", "--scope", "project"),
      /--scope: expected user, for Claude Desktop, got "project"/,
    );
    assert.match(await refusal("install", "cursor", "--policy", file), /refused\.json/);
    assert.match(await refusal("install", "vscode"), /nothing to do\. It has no servers/);
    writeFileSync(file, '{"mcpServers": {"a": }}');
    assert.match(
      await refusal("install", "cursor"),
      /refused\.json cannot be read as JSON: unexpected text at byte 21\. Correct it first/,
    );
    assert.match(await refusal("install", "codex"), /refused\.json cannot be read as TOML: unexpected text at byte 0/);
    assert.match(
      await run(t, "install", "cursor", "--file", join(folder, "none.json")),
      /cannot read .*none\.json.*Name another one with --file/,
    );
    const behind = configIn("behind.json", '{"mcpServers":{"a":{"command":"tollgate","args":["mcp","--","b"]}}}');
    assert.match(
      await run(t, "install", "cursor", "a", "--file", behind),
      /expected a server that is not behind the gateway yet/,
    );
    assert.match(
      await run(t, "install", "cursor", "--file", behind),
      /Left as it is: a \(behind the gateway already\)\.\n.*nothing to do\.$/,
    );
  });

  it("knows where each client has its configuration", () => {
    const at = (client: ClientName, scope: Scope, more: Partial<Place> = {}) =>
      fileOf(client, scope).path({ platform: "linux", env: {}, home: "/home/u", folder: "/work", ...more });
    const paths = Object.keys(CLIENTS).map((name) => at(name as ClientName, "user"));
    assert.deepEqual(paths, [
      "/home/u/.claude.json",
      "/home/u/.config/Claude/claude_desktop_config.json",
      "/home/u/.cursor/mcp.json",
      "/home/u/.config/Code/User/mcp.json",
      "/home/u/.codex/config.toml",
      "/home/u/.gemini/settings.json",
    ]);
    const mac = { platform: "darwin", home: "/Users/u" };
    assert.equal(at("vscode", "user", mac), "/Users/u/Library/Application Support/Code/User/mcp.json");
    const windows = { platform: "win32", env: { APPDATA: "C:\\R" } };
    assert.equal(at("claude-desktop", "user", windows), "C:\\R\\Claude\\claude_desktop_config.json");
    assert.equal(at("codex", "user", { env: { CODEX_HOME: "/c" } }), "/c/config.toml");
    assert.equal(at("vscode", "project"), "/work/.vscode/mcp.json");
    const local = Buffer.from('{"projects":{"/work":{"mcpServers":{"a":{"command":"b"}}}}}');
    const place: Place = { platform: "linux", env: {}, home: "/home/u", folder: "/work" };
    assert.deepEqual(
      fileOf("claude-code", "local")
        .servers(local, place)
        .map(({ name }) => name),
      ["a"],
    );
  });

  it("names files that stay, and those of the project where others use the configuration", () => {
    const started = { node: "/n/node", script: "/g/bin/tollgate", folder };
    const words = (isShared: boolean, more = {}) =>
      gatewayWords({ options: ["--policy", "p.yaml"], isShared }, { ...started, ...more }).join(" ");
    assert.equal(words(false), "/n/node /g/bin/tollgate mcp --policy p.yaml");
    const cached = "C:\\npm\\_npx\\1\\node_modules\\tollgate\\bin\\tollgate.js";
    assert.throws(() => words(false, { script: cached }), /runs from the cache of npx/);
    assert.throws(() => words(true), /--scope: expected node_modules\/tollgate\/bin\/tollgate\.js in this/);
    mkdirSync(join(folder, "node_modules/tollgate/bin"), { recursive: true });
    writeFileSync(join(folder, "node_modules/tollgate/bin/tollgate.js"), "");
    assert.equal(words(true), "node node_modules/tollgate/bin/tollgate.js mcp --policy p.yaml");
  });
});
