// `tollgate keys`: makes, lists and revokes the API keys of `tollgate serve`. A key is shown once, when it is made.

import { existsSync } from "node:fs";
import { Command } from "commander";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import { typoHint } from "../kernel/spelling.ts";
import { checkChangeOptions } from "../limiter/grant.ts";
import { type Act, audited } from "../service/audit.ts";
import { addKey, makeKey, readKeys, revokeKey } from "../service/key-file.ts";
import { SCOPES, type Scope, type StoredKey } from "../service/keys.ts";
import { asOptions } from "./as-options.ts";
import { type AuditOptions, cliActor, cliAudit, withAuditOption } from "./audit.ts";
import { collect, withEnvironment } from "./defaults.ts";
import { formatTable } from "./table.ts";

interface KeysOptions extends AuditOptions {
  readonly file: string;
  readonly json?: boolean;
}

interface CreateOptions extends KeysOptions {
  readonly scope: readonly string[];
  readonly tenant?: readonly string[];
  readonly name?: string;
}

export function keysCommand(): Command {
  const command = new Command("keys").description("make, list and revoke the API keys of `tollgate serve`");
  const create = withAuditOption(
    withFile(command.command("create").description("make a key, and print it: it cannot be shown again")),
  )
    .requiredOption("--scope <scope>", `what it may do: ${SCOPES.join(", ")}; may be repeated`, collect)
    .option("--tenant <tenant>", "a tenant that it is bound to, else all; may be repeated", collect)
    .option("--name <text>", "what it is for");
  create.action((options: CreateOptions) => named(() => printNew(options)));
  withFile(command.command("list").description("list the keys of a file")).action((options: KeysOptions) =>
    named(() => list(options)),
  );
  withAuditOption(
    withFile(
      command
        .command("revoke")
        .argument("<id>", "the key's id, as keys list prints it")
        .description("take a key out of a file"),
    ),
  ).action((id: string, options: KeysOptions) => named(() => revoke(id, options)));
  return command;
}

function withFile(command: Command): Command {
  return command
    .addOption(withEnvironment("--file <file>", "the key file; keys create makes it", "KEYS").makeOptionMandatory())
    .option("--json", "print JSON");
}

async function printNew({ file, scope, tenant, name, json, ...options }: CreateOptions): Promise<void> {
  for (const each of scope) if (!isScope(each)) throw wrongScope(each);
  const { stored, key } = makeKey({ scopes: scope.filter(isScope), tenants: tenant, name });
  await changeKeys(options, { act: "key-create", target: stored.id, ...knownOf(stored) }, () => addKey(file, stored));
  console.log(json ? JSON.stringify({ id: stored.id, key }) : key);
}

function list({ file, json }: KeysOptions): void {
  const keys = readKeys(file).map(({ sha256: _, ...shown }) => shown);
  if (json) console.log(JSON.stringify(keys));
  else if (keys.length === 0) console.log("There are no keys.");
  else {
    const rows = keys.map(({ id, scopes, tenants = ["all"], name = "", createdAt }) => [
      id,
      scopes.join(", "),
      tenants.join(", "),
      name,
      createdAt,
    ]);
    console.log(formatTable(["id", "scopes", "tenants", "name", "made at"], rows));
  }
}

async function revoke(id: string, { file, ...options }: KeysOptions): Promise<void> {
  const known = existsSync(file) ? readKeys(file).find((key) => key.id === id) : undefined;
  const about = known === undefined ? {} : knownOf(known);
  await changeKeys(options, { act: "key-revoke", target: id, ...about }, () => revokeKey(file, id));
}

/** What the audit log says of a key, so that it can be told who that was when the key is gone. */
function knownOf({ name, scopes, tenants }: StoredKey): Pick<Act, "name" | "scopes" | "tenants"> {
  return { name, scopes, tenants };
}

/** Writes down what is about to be done to a key file, and does it. */
function changeKeys(
  { audit, reason }: AuditOptions,
  about: Omit<Act, "actor" | "keyId" | "reason">,
  change: () => void,
): Promise<void> {
  const said = checkChangeOptions({ reason }).reason;
  return audited(cliAudit(audit), { ...about, reason: said, actor: cliActor(), keyId: null }, change);
}

function wrongScope(scope: string): MisuseError {
  const fault = { path: "--scope", expected: `one of ${SCOPES.join(", ")}`, got: formatGot(scope) };
  const parts = scope.split(/[\s,]+/).filter((part) => part !== "");
  if (parts.length > 1 && parts.every(isScope)) {
    const hint = `Write ${parts.map((part) => `--scope ${part}`).join(" ")}.`;
    return new MisuseError("invalid-option", { ...fault, hint });
  }
  return new MisuseError("invalid-option", { ...fault, ...typoHint(scope, SCOPES) });
}

/** Does something with a key file, whose faults name the options here. */
async function named(act: () => void | Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    throw MisuseError.isInstance(error) ? asOptions(error, { id: "ID", keys: "--file" }) : error;
  }
}

function isScope(text: string): text is Scope {
  return (SCOPES as readonly string[]).includes(text);
}
