// What `tollgate serve` adds to a service: the decision log, its routes, the console, and a policy file that it may write.

import { invalidOption, MisuseError } from "../kernel/errors.ts";
import { reasonOf } from "../kernel/reason.ts";
import type { StoredLog } from "../log/recorder.ts";
import type { LogStorage } from "../log/storage.ts";
import type { Logger } from "../service/logger.ts";
import type { ServicePart } from "../service/parts.ts";
import { type WatchedPolicyFile, policyFile } from "../service-log/policy-file-node.ts";
import type { PolicyFile } from "../service-log/policy-write.ts";
import { consoleFiles } from "./console.ts";
import { LOCAL_POLICY, SAMPLE_POLICY } from "./defaults.ts";
import { writing } from "./files.ts";
import type { GatewayFile } from "./gateway-file.ts";
import { isServerLog, openLog } from "./log-url.ts";
import { storeLabel } from "./store-url.ts";

const WRITABLE_VARIABLE = "TOLLGATE_POLICY_WRITABLE";

export type ServedLog = StoredLog<LogStorage>;

export async function servedParts(
  log: ServedLog | null,
  hasConsole: boolean,
  { file, gateway }: { readonly file: PolicyFile | null; readonly gateway: GatewayFile | null },
): Promise<readonly ServicePart[]> {
  const [{ consolePart }, { logPart }] = await Promise.all([
    import("../service-log/console.ts"),
    import("../service-log/log.ts"),
  ]);
  const part = logPart(log, {
    ...(file === null ? {} : { policyFile: file }),
    ...(gateway === null ? {} : { gateway: () => gateway.registry.view() }),
  });
  return [part, ...(hasConsole ? [consolePart(consoleFiles)] : [])];
}

/** The policy file, where the service may write it. Throws MisuseError or CommandError where it cannot. */
export function writablePolicy(policy: string, isWritable: boolean): WatchedPolicyFile | null {
  // Any value of a variable turns a flag on.
  const variable = process.env[WRITABLE_VARIABLE];
  if (variable !== undefined && !/^(?:1|true)$/.test(variable)) {
    throw invalidOption(WRITABLE_VARIABLE, "true, or no such variable", variable);
  }
  if (!isWritable) return null;
  if (policy === SAMPLE_POLICY) {
    throw invalidOption(
      "--policy-writable",
      `a policy of your own: ${LOCAL_POLICY} in this folder, or --policy FILE`,
      policy,
    );
  }
  const file = policyFile(policy);
  writing(`beside ${policy}`, "--policy-writable", () => file.check());
  return file;
}

/**
 * The decision log, opened; `null`: there is none. A default that cannot be opened is a warning, and no log. A server may be away: it is
 * written to when it is back.
 */
export async function servedLog(url: string, isDefault: boolean, logger: Logger): Promise<ServedLog | null> {
  try {
    const log = await openLog(url, true);
    if (isServerLog(url)) log?.storage.salt().catch((error) => warnOfServer(url, error, logger));
    // Opens the file.
    else await log?.storage.salt();
    return log;
  } catch (error) {
    if (!isDefault || MisuseError.isInstance(error)) throw error;
    logger.warn(
      { problem: reasonOf(error) },
      `there is no decision log: ${url} cannot be opened; name another with --log, or say --log none`,
    );
    return null;
  }
}

function warnOfServer(url: string, error: unknown, logger: Logger): void {
  logger.warn(
    { problem: reasonOf(error) },
    `the decision log ${storeLabel(url)} cannot be written yet: calls are decided, and what is logged of them waits in memory`,
  );
}
