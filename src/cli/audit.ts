// The audit log of the command line: the service's lines, and its rule that a change is written down before it is made.

import { userInfo } from "node:os";
import type { Command } from "commander";
import type { ChangeOptions as Noted, NamedBucket } from "../limiter.ts";
import { type Act, type Audit, audited } from "../service/audit.ts";
import { auditFile, lineOf } from "../service/audit-file.ts";
import { withAdvice } from "../service/tenants.ts";
import { withEnvironment } from "./defaults.ts";
import { writing } from "./files.ts";
import { type Buckets, adviseTenant } from "./as-tenant.ts";
import { type BucketOptions, dimensionsOf, withLimiter } from "./input.ts";
import { LOG_OF_FOLDER, LOG_URLS, logOfFolder } from "./log-url.ts";

export interface AuditOptions {
  readonly audit?: string;
  readonly reason?: string;
}

export interface ChangeOptions extends BucketOptions, AuditOptions {
  readonly limit: string;
}

/** Adds the options that say where acts are written, and why they are done. */
export function withAuditOption(command: Command): Command {
  return command
    .addOption(
      withEnvironment("--audit <file>", "append what is done to this file, as JSON lines; default: to stderr", "AUDIT"),
    )
    .option("--reason <text>", "why, for the audit log");
}

export function withChangeOptions(command: Command): Command {
  return withAuditOption(command)
    .requiredOption("--limit <name>", "the limit's name")
    .addOption(
      withEnvironment(
        "--log <url>",
        `write the change of a store to this decision log, too: none, ${LOG_URLS}; ${LOG_OF_FOLDER}`,
        "LOG",
      ),
    );
}

/** Where acts of the command line are written. */
export function cliAudit(file: string | undefined): Audit {
  if (file === undefined) return (act) => console.error(lineOf(act));
  const append = auditFile(file);
  return (act) => writing(file, "--audit", () => append(act));
}

/** The user who runs the command, as the operating system names it. */
export function cliActor(): string {
  try {
    return `cli:${userInfo().username}`;
  } catch {
    // A container may run as a user that the machine has no name for.
    return `cli:uid ${process.getuid?.() ?? "unknown"}`;
  }
}

/** Writes down what is about to be done to a bucket, and does it. A service writes its own audit log. */
export function changeBucket<Result>(
  options: ChangeOptions,
  about: Pick<Act, "act" | "units" | "durationMs" | "grantId">,
  change: (limiter: Buckets, bucket: NamedBucket, note: Noted) => Promise<Result>,
): Promise<Result> {
  const { limit, asTenant, reason } = options;
  const whole = dimensionsOf(options);
  adviseTenant(options, whole);
  const { args: _, ...named } = whole;
  const dimensions = asTenant === undefined ? named : { ...named, tenant: asTenant };
  const bucket = { ...whole, limit };
  if (options.url !== undefined && options.audit === undefined)
    return withLimiter(options, (limiter) => change(limiter, bucket, { reason }));
  const actor = cliActor();
  // A service says itself who it is: the key.
  const note = options.url === undefined ? { reason, actor } : { reason };
  const act: Act = { ...about, reason: reason ?? null, actor, keyId: null, limit, dimensions };
  const audit = cliAudit(options.audit);
  const log = logOfFolder(options.log);
  const logged = log === undefined ? options : { ...options, log };
  return withLimiter(logged, (limiter) => audited(audit, act, () => change(limiter, bucket, note))).catch(
    (error: unknown) => {
      throw withAdvice(error, whole.tenant);
    },
  );
}
