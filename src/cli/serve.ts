// `tollgate serve`: the external limiter as a process of its own. What it answers is in service/; here are its files, its
// store, and how it begins and ends.

import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { fileJournal } from "../journal.ts";
import { formatGot, invalidOption, MisuseError } from "../kernel/errors.ts";
import { closest } from "../kernel/spelling.ts";
import { type FailoverOptions, refusePolicy } from "../limiter.ts";
import { parsePolicy } from "../policy-file/file.ts";
import { watchPolicy } from "../policy-file/watch.ts";
import { auditFile } from "../service/audit.ts";
import { BOUND_NAMES, LISTEN_BOUND_NAMES, SERVICE_BOUND_NAMES, type ServiceBounds } from "../service/bounds.ts";
import type { Service } from "../service/handler.ts";
import { keyFile } from "../service/keys.ts";
import { LOG_LEVELS, type LogLevel } from "../service/log.ts";
import type { Listening, ListenOptions } from "../service/node.ts";
import { addressError } from "./address.ts";
import { collect, policyLabel, withEnvironment, withPolicyOption, withStoreOption } from "./defaults.ts";
import { checkAppendable, inFile, readInput, readTls } from "./files.ts";
import { withPrefixOption } from "./input.ts";
import {
  type EnvoyListening,
  type EnvoyServeOptions,
  leaveEnvoy,
  listenForEnvoy,
  withEnvoyOptions,
} from "./serve-envoy.ts";
import { openLastingStore, storeLabel } from "./store-url.ts";

interface ServeOptions extends EnvoyServeOptions {
  readonly store: string;
  readonly prefix: string;
  readonly host: string;
  readonly port: string;
  readonly keys?: string;
  readonly audit?: string;
  readonly instances?: string;
  readonly journal?: string;
  readonly logLevel: LogLevel;
  readonly set?: readonly string[];
}

/** How long the store's client may take to connect before that is logged. */
const CONNECTS_MS = 2_000;
/** How long the store's client may take to say goodbye. */
const CLIENT_CLOSES_MS = 2_000;

export function serveCommand(): Command {
  const command = new Command("serve").description(
    "answer over HTTP whether calls are allowed: the limiter as a service",
  );
  withPrefixOption(withStoreOption(withPolicyOption(command, "; read again when it changes"), "any"))
    .addOption(
      withEnvironment(
        "--host <address>",
        "where to listen; elsewhere than on this machine it wants --keys",
        "HOST",
      ).default("127.0.0.1"),
    )
    .addOption(withEnvironment("--port <n>", "the port; 0 for any that is free", "PORT").default("8420"))
    .addOption(
      withEnvironment(
        "--keys <file>",
        "the file of API keys (`tollgate keys create`); read again when it changes",
        "KEYS",
      ),
    )
    .addOption(withEnvironment("--tls-cert <file>", "the certificate, in PEM", "TLS_CERT"))
    .addOption(withEnvironment("--tls-key <file>", "its key, in PEM", "TLS_KEY"))
    .addOption(
      withEnvironment("--audit <file>", "append what administrators do to this file; without, it is logged", "AUDIT"),
    )
    .addOption(
      withEnvironment("--instances <n>", "how many instances share the store; without, they are counted", "INSTANCES"),
    )
    .addOption(
      withEnvironment("--journal <file>", "keep in this file what is admitted while the store is away", "JOURNAL"),
    )
    .addOption(
      withEnvironment("--log-level <level>", "`debug` logs each request", "LOG_LEVEL")
        .choices(LOG_LEVELS)
        .default("info"),
    )
    .option("--set <name=number>", `a bound; may be repeated: ${BOUND_NAMES.join(", ")}`, collect)
    .action(serve);
  return withEnvoyOptions(command);
}

async function serve(options: ServeOptions): Promise<void> {
  // Only here: no other command waits for what a server is made of.
  const [{ createLog }, { createService }, { listen }] = await Promise.all([
    import("../service/log.ts"),
    import("../service/handler.ts"),
    import("../service/node.ts"),
  ]);
  const log = createLog(options.logLevel);
  const { bounds, listening } = numbersOf(options.set ?? []);
  const port = numberOf("--port", options.port, 0, 65_535);
  const tls = tlsOf(options);
  const source = readPolicy(options.policy);
  if (options.audit !== undefined) checkAppendable(options.audit, "--audit");
  const keys =
    options.keys === undefined
      ? false
      : keyFile(options.keys, { onError: (error) => log.error({ problem: String(error) }, "the key file is wrong") });
  const { store, close } = await openLastingStore(options.store);
  let listener: Listening;
  let service: Service;
  let envoy: EnvoyListening | null = null;
  try {
    service = inFile(options.policy, "invalid-policy", () =>
      createService({
        policy: source,
        policySource: options.policy,
        store,
        keys,
        prefix: options.prefix,
        failover: failoverOf(options),
        log,
        bounds,
        ...(options.audit === undefined ? {} : { audit: auditFile(options.audit) }),
      }),
    );
    const where = { host: options.host, port };
    envoy = await listenForEnvoy(service, options);
    const drain = envoy === null ? {} : { drainMs: 0 };
    listener = await listen(service, { ...listening, ...drain, ...where, ...(tls === null ? {} : { tls }) }).catch(
      (error) => {
        throw addressError(error, { ...where, hostOption: "--host", portOption: "--port" }) ?? error;
      },
    );
  } catch (error) {
    await envoy?.service.close({ graceMs: 0 });
    await close();
    throw error;
  }
  const watched = {
    reload: () => service.reload(readInput(options.policy, "--policy")),
    policyRefused: (error: unknown) => refusePolicy(service.limiter, error),
  };
  // What is wrong is an event of the limiter, and so in the log.
  const watch = watchPolicy(options.policy, watched, { onError: () => {} });
  // Who reads that it listens may ask it to end at once.
  const ending = nextSignal();
  tellStart(options, listener.url, envoy);
  // An unreachable store is logged, even if no request needs it.
  setTimeout(() => service.fetch(new Request(`${listener.url}/readyz`)), CONNECTS_MS).unref();
  const signal = await ending;
  log.info({ signal }, "ending");
  watch.close();
  if (envoy !== null) await leaveEnvoy(service, envoy, listening.drainMs);
  await listener.close();
  // A server that has gone silent must not keep this process: what was to be booked is booked, or in the journal.
  await Promise.race([close(), sleep(CLIENT_CLOSES_MS)]);
  process.exit(0);
}

/** Says it in one piece: who waits for the first line has the others, too. */
function tellStart({ policy, store, keys, envoyMap }: ServeOptions, url: string, envoy: EnvoyListening | null): void {
  const lines = [
    `tollgate listens at ${url} (${url}/docs says what it answers)`,
    `  policy ${policyLabel(policy)}`,
    `  state  ${storeLabel(store)}`,
    `  keys   ${keys ?? "none: any process on this machine may send requests"}`,
    ...(envoy === null ? [] : [`  envoy  ${envoy.address}, by ${envoyMap}`]),
  ];
  console.log(lines.join("\n"));
}

/** The first signal that asks to end; the second one ends the process at once. */
function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isFirst = true;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        if (!isFirst) process.exit(128 + constants.signals[signal]);
        isFirst = false;
        resolve(signal);
      });
    }
  });
}

function failoverOf({ instances, journal }: ServeOptions): FailoverOptions {
  if (journal !== undefined) checkAppendable(journal, "--journal");
  return {
    ...(instances === undefined ? {} : { instances: numberOf("--instances", instances, 1, 10_000) }),
    ...(journal === undefined ? {} : { journal: fileJournal(journal) }),
  };
}

function tlsOf({ tlsCert, tlsKey }: ServeOptions) {
  if (tlsCert === undefined && tlsKey === undefined) return null;
  if (tlsCert === undefined || tlsKey === undefined) {
    throw invalidOption("--tls-cert and --tls-key", "both of them, or none", tlsCert ?? tlsKey);
  }
  return readTls(tlsCert, tlsKey);
}

/** The text of a policy, once it is known to be one: faults name the file. */
function readPolicy(file: string): string {
  const text = readInput(file, "--policy");
  parsePolicy(text, file);
  return text;
}

/** The bounds by name: of the service, and of listening. */
function numbersOf(pairs: readonly string[]): { bounds: ServiceBounds; listening: ListenOptions } {
  const bounds: Record<string, number> = {};
  const listening: Record<string, number> = {};
  for (const pair of pairs) {
    const [, name = "", number = ""] = /^(\w+)=(\d+)$/.exec(pair) ?? [];
    const of = SERVICE_BOUND_NAMES.includes(name) ? bounds : LISTEN_BOUND_NAMES.includes(name) ? listening : null;
    if (of === null) throw wrongNumber(pair);
    of[name] = Number(number);
  }
  return { bounds, listening };
}

function wrongNumber(pair: string): MisuseError {
  const names = [...SERVICE_BOUND_NAMES, ...LISTEN_BOUND_NAMES];
  const [name = ""] = pair.split("=");
  const fault = { path: "--set", expected: `name=number of ${names.join(", ")}`, got: formatGot(pair) };
  const meant = names.includes(name) ? null : closest(name, names);
  return new MisuseError("invalid-option", meant === null ? fault : { ...fault, hint: `Did you mean "${meant}"?` });
}

function numberOf(option: string, text: string, min: number, max: number): number {
  if (!/^\d+$/.test(text)) throw invalidOption(option, `a whole number from ${min} to ${max}`, text);
  return Number(text);
}
