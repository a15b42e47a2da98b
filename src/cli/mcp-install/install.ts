// `tollgate mcp install` and `uninstall`: servers of a client's configuration behind the gateway, and back. Nothing is written
// unless it is asked for.

import { copyFileSync, realpathSync } from "node:fs";
import { Argument, Command, Option } from "commander";
import { NotJsonError } from "../../gateway/json/scan.ts";
import { type Change, splice } from "../../gateway/json/splice.ts";
import { invalidOption, type MisuseError } from "../../kernel/errors.ts";
import { listed } from "../../kernel/words.ts";
import { replaceFile } from "../../service-log/policy-file-node.ts";
import { CommandError } from "../exit.ts";
import { readInputBytes, writing } from "../files.ts";
import { withMcpOptions } from "../mcp-options.ts";
import { withoutSecrets } from "../store-url.ts";
import { CLIENTS, type ClientName, fileOf, SCOPES, type Scope, thisPlace } from "./clients.ts";
import { diffOf } from "./diff.ts";
import { installing, isBehindGateway, type ServerEntry, uninstalling } from "./entry.ts";
import { entryOptions } from "./entry-options.ts";
import { gatewayWords } from "./gateway-words.ts";
import { NotTomlError } from "./toml.ts";

interface InstallOptions {
  readonly scope: Scope;
  readonly file?: string;
  readonly url?: string;
  readonly write?: boolean;
}

/** What one of the two commands does with a server. */
interface Act {
  /** Whether a server is as the command makes it. */
  readonly isDone: (entry: ServerEntry) => boolean;
  readonly changes: (bytes: Buffer, entry: ServerEntry) => Change[];
  readonly wanted: string;
  /** What is said of a server that is so already. */
  readonly done: string;
  /** What servers are then. */
  readonly state: string;
}

/** What the copy of the file is called that is kept. */
const BACKUP = ".before-last-change";

const REMOTE =
  "a server that the client starts with a command: tollgate mcp runs one. For a remote server write the command npx with the args mcp-remote and its URL, and install that";

export function installCommand(): Command {
  return withMcpOptions(
    command("install", "put servers of a client's configuration behind the gateway; prints the change"),
  ).action((client: ClientName, names: readonly string[], options: InstallOptions, self: Command) => {
    const isShared = options.scope === "project";
    // A scope that the client has not is refused first.
    fileOf(client, options.scope);
    const gateway = gatewayWords({ options: entryOptions(self, isShared), isShared });
    act(client, names, options, {
      isDone: isBehindGateway,
      changes: (bytes, entry) => installing(bytes, entry, gateway),
      wanted: "a server that is not behind the gateway yet",
      done: "behind the gateway already",
      state: "behind the gateway",
    });
    if (options.url !== undefined)
      console.error("A service that has keys needs one as TOLLGATE_API_KEY in the environment of its entry.");
  });
}

export function uninstallCommand(): Command {
  return command("uninstall", "take servers of a client's configuration out of the gateway; prints the change").action(
    (client: ClientName, names: readonly string[], options: InstallOptions) => {
      act(client, names, options, {
        isDone: (entry) => !isBehindGateway(entry),
        changes: uninstalling,
        wanted: "a server that is behind the gateway",
        done: "not behind the gateway",
        state: "no longer behind the gateway",
      });
    },
  );
}

function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addArgument(new Argument("<client>", "whose configuration").choices(Object.keys(CLIENTS)))
    .argument("[servers...]", "names of servers in it; default: all")
    .addOption(new Option("--scope <scope>", "which configuration of the client").choices(SCOPES).default("user"))
    .option("--file <file>", "another file of the same form")
    .option("--write", "change the file. Without it the change is printed");
}

function act(client: ClientName, names: readonly string[], options: InstallOptions, todo: Act): void {
  const place = thisPlace();
  const { path, servers } = fileOf(client, options.scope);
  const file = options.file ?? path(place);
  const bytes = readInputBytes(
    file,
    options.file === undefined ? undefined : "--file",
    ". Name another one with --file",
  );
  const entries = inFormat(file, () => servers(bytes, place));
  const chosen = choose(entries, names, file, todo);
  const changes = chosen.flatMap((entry) => todo.changes(bytes, entry));
  changes.sort((one, other) => one.at.from - other.at.from);
  const title = listed(chosen.map(({ name }) => name));
  const left = entries
    .filter((entry) => !chosen.includes(entry))
    .map((entry) => `${entry.name} (${whyLeft(entry, todo)})`);
  if (names.length === 0 && left.length > 0) console.error(`Left as it is: ${left.join(", ")}.`);
  if (changes.length === 0) {
    console.log(`${file}: nothing to do.${entries.length === 0 ? " It has no servers." : ""}`);
  } else if (options.write !== true) {
    console.log(`--- ${file}\n+++ ${title} ${todo.state}\n${diffOf(bytes, changes)}`);
    console.error("Nothing was written. Add --write to change the file.");
  } else {
    write(file, splice(bytes, changes));
    console.log(`${file}: ${title} ${chosen.length === 1 ? "is" : "are"} ${todo.state}.`);
    console.log(`The file as it was is ${file}${BACKUP}. Restart ${CLIENTS[client].title} to use the change.`);
  }
}

/** Why a server is not changed where none is named. */
function whyLeft(entry: ServerEntry, todo: Act): string {
  if (entry.command !== null) return todo.done;
  return entry.url === null ? "it has no command, or its args are no list" : "at an address";
}

function choose(entries: readonly ServerEntry[], names: readonly string[], file: string, todo: Act): ServerEntry[] {
  if (names.length === 0) return entries.filter((entry) => entry.command !== null && !todo.isDone(entry));
  return [...new Set(names)].map((name) => {
    const entry = entries.find((each) => each.name === name);
    if (entry === undefined) throw unknownServer(name, entries, file);
    if (entry.command === null)
      throw invalidOption(name, REMOTE, entry.url === null ? undefined : withoutSecrets(entry.url));
    if (todo.isDone(entry)) throw invalidOption("SERVER", todo.wanted, name);
    return entry;
  });
}

function unknownServer(name: string, entries: readonly ServerEntry[], file: string): MisuseError {
  const known = entries.map((each) => each.name).join(", ");
  const expected = known === "" ? `a server, and ${file} has none` : `one of the servers in ${file}: ${known}`;
  return invalidOption("SERVER", expected, name);
}

/** @throws CommandError that says where the text is no longer of its format */
function inFormat<Result>(file: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof NotJsonError) && !(error instanceof NotTomlError)) throw error;
    const format = error instanceof NotJsonError ? "JSON" : "TOML";
    throw new CommandError(`${file} cannot be read as ${format}: ${error.message}. Correct it first`, { cause: error });
  }
}

function write(file: string, bytes: Buffer): void {
  writing(file, "--write", () => {
    copyFileSync(realpathSync(file), `${file}${BACKUP}`);
    replaceFile(file, bytes);
  });
}
