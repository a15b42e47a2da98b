// `tollgate keys`: makes, lists and revokes the API keys of `tollgate serve`. A key is shown once, when it is made.

import { Command } from "commander";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import { closest } from "../kernel/spelling.ts";
import { auditedNow } from "../service/audit.ts";
import { createKey, readKeys, revokeKey, SCOPES, type Scope } from "../service/keys.ts";
import { asOptions } from "./as-options.ts";
import { cliActor, cliAudit, withAuditOption } from "./audit.ts";
import { collect, withEnvironment } from "./defaults.ts";
import { formatTable } from "./table.ts";

interface KeysOptions {
  readonly file: string;
  readonly audit?: string;
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
  withAuditOption(withFile(command.command("revoke <id>").description("take a key out of a file"))).action(
    (id: string, options: KeysOptions) => named(() => revoke(id, options)),
  );
  return command;
}

function withFile(command: Command): Command {
  return command
    .addOption(
      withEnvironment("--file <file>", "the key file; made when it is not there", "KEYS").makeOptionMandatory(),
    )
    .option("--json", "print JSON");
}

function printNew({ file, audit, scope, tenant, name, json }: CreateOptions): void {
  for (const each of scope) if (!isScope(each)) throw wrongScope(each);
  const made = createKey(file, { scopes: scope.filter(isScope), tenants: tenant, name });
  cliAudit(audit)({ act: "key-create", actor: cliActor(), keyId: null, reason: null, target: made.id });
  console.log(json ? JSON.stringify(made) : made.key);
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

function revoke(id: string, { file, audit }: KeysOptions): void {
  const write = cliAudit(audit);
  auditedNow(write, { act: "key-revoke", actor: cliActor(), keyId: null, reason: null, target: id }, () =>
    revokeKey(file, id),
  );
}

function wrongScope(scope: string): MisuseError {
  const fault = { path: "--scope", expected: `one of ${SCOPES.join(", ")}`, got: formatGot(scope) };
  const parts = scope.split(/[\s,]+/).filter((part) => part !== "");
  if (parts.length > 1 && parts.every(isScope)) {
    const hint = `Write ${parts.map((part) => `--scope ${part}`).join(" ")}.`;
    return new MisuseError("invalid-option", { ...fault, hint });
  }
  const meant = closest(scope, SCOPES);
  return new MisuseError("invalid-option", meant === null ? fault : { ...fault, hint: `Did you mean "${meant}"?` });
}

/** Does something with a key file, whose faults name the options here. */
function named(act: () => void): void {
  try {
    act();
  } catch (error) {
    throw MisuseError.isInstance(error) ? asOptions(error, { id: "ID", keys: "--file" }) : error;
  }
}

function isScope(text: string): text is Scope {
  return (SCOPES as readonly string[]).includes(text);
}
