// `tollgate serve`: the external limiter as a process of its own. What it answers is in service/; here are its files, its
// store, and how it begins and ends.

import { constants } from "node:os";
import { Command } from "commander";
import { inBackground, sleep } from "../clock.ts";
import { fileJournal } from "../journal.ts";
import { formatGot, invalidOption, MisuseError } from "../kernel/errors.ts";
import { typoHint } from "../kernel/spelling.ts";
import { type FailoverOptions, refusePolicy } from "../limiter.ts";
import { parsePolicy } from "../policy-file/text.ts";
import { fileActor, watchedFile } from "../policy-file/watched-file.ts";
import { auditFile } from "../service/audit-file.ts";
import { BOUND_NAMES, SERVICE_BOUND_NAMES, type ServiceBounds } from "../service/bounds.ts";
import type { Service } from "../service/service.ts";
import { keyFile } from "../service/key-file.ts";
import { LOG_LEVELS, type Logger, type LogLevel } from "../service/logger.ts";
import type { Listening, ListenOptions } from "../service/node.ts";
import { addressError } from "./address.ts";
import type { WatchedPolicyFile } from "../service-log/policy-file-node.ts";
import { type ServedLog, servedLog, servedParts, writablePolicy } from "./serve-parts.ts";
import { DEFAULT_LOG, isServerLog, LOG_URLS } from "./log-url.ts";
import { collect, policyLabel, wholeNumber, withEnvironment, withPolicyOption, withStoreOption } from "./defaults.ts";
import { checkAppendable, inFile, readInput, readTls } from "./files.ts";
import { withPrefixOption } from "./input.ts";
import { leaveEnvoy, listenForEnvoy, withEnvoyOptions } from "./serve-envoy.ts";
import type { EnvoyListening, EnvoyServeOptions } from "./serve-envoy.ts";
import { gatewayOf, type GatewayServing, startGateway, withGatewayOption } from "./serve-gateway.ts";
import { openLastingStore, storeLabel } from "./store-url.ts";

interface ServeOptions extends EnvoyServeOptions {
  readonly policy: string;
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
  readonly console: boolean;
  readonly policyWritable?: boolean;
  readonly gateway?: string;
  readonly log: string;
  /** Whether nothing says which log. */
  readonly isDefaultLog?: boolean;
}

/** What runs: the service, where it listens, and what it closes at its end. */
interface Running {
  readonly service: Service;
  readonly listener: Listening;
  readonly envoy: EnvoyListening | null;
  readonly gateway: GatewayServing | null;
  readonly drainMs: number | undefined;
  readonly hasLog: boolean;
  readonly file: WatchedPolicyFile | null;
  closeStore(): Promise<void>;
}

/** How long the store's client may take to connect before that is logged. */
const CONNECTS_MS = 2_000;
/** How long the store's client may take to end its connections. */
const CLIENT_CLOSES_MS = 2_000;

const OPTIONS: readonly (readonly [flags: string, description: string, variable: string, fallback?: string])[] = [
  ["--host <address>", "where to listen; elsewhere than on this machine it wants --keys", "HOST", "127.0.0.1"],
  ["--port <n>", "the port; 0 for any that is free", "PORT", "8420"],
  ["--keys <file>", "the file of API keys (`tollgate keys create`); read again when it changes", "KEYS"],
  ["--tls-cert <file>", "the certificate, in PEM", "TLS_CERT"],
  ["--tls-key <file>", "its key, in PEM", "TLS_KEY"],
  ["--audit <file>", "append what administrators do to this file; without, it is logged", "AUDIT"],
  ["--instances <n>", "how many instances share the store; without, they are counted", "INSTANCES"],
  ["--journal <file>", "keep in this file what is admitted while the store is away", "JOURNAL"],
];

export function serveCommand(): Command {
  const command = new Command("serve").description(
    "answer over HTTP whether calls are allowed: the limiter as a service",
  );
  withPrefixOption(withStoreOption(withPolicyOption(command, "; read again when it changes"), "any"));
  for (const [flags, description, variable, fallback] of OPTIONS) {
    command.addOption(withEnvironment(flags, description, variable).default(fallback));
  }
  const logLevel = withEnvironment("--log-level <level>", "`debug` logs each request", "LOG_LEVEL");
  command
    .addOption(logLevel.choices(LOG_LEVELS).default("info"))
    .addOption(
      withEnvironment("--log <url>", `where decisions are kept: ${LOG_URLS}, or none`, "LOG").default(DEFAULT_LOG),
    )
    .addOption(
      withEnvironment("--policy-writable", "let administrators replace the policy file over HTTP", "POLICY_WRITABLE"),
    )
    .option("--no-console", "do not serve the console at /console")
    .option("--set <name=number>", `a bound; may be repeated: ${BOUND_NAMES.join(", ")}`, collect)
    .action(serve);
  return withEnvoyOptions(withGatewayOption(command));
}

async function serve(given: ServeOptions, command: Command): Promise<void> {
  const options = { ...given, isDefaultLog: command.getOptionValueSource("log") === "default" };
  // Servers are imported only here: no other command waits for that.
  const { createLogger } = await import("../service/pino-logger.ts");
  const logger = createLogger(options.logLevel);
  const { service, listener, envoy, gateway, drainMs, hasLog, file, closeStore } = await start(options, logger);
  // A file that cannot be used is an event of the limiter, and so in the log.
  const watch = watchedFile(options.policy, { onError: () => {} }, () => reload(service, options.policy, file));
  // A program that reads the first line may end this process at once.
  const ending = nextSignal();
  printStart({ ...options, log: hasLog ? options.log : "none" }, listener.url, { envoy, gateway });
  // An unreachable store is logged, even if no request needs it.
  inBackground(CONNECTS_MS, () => service.fetch(new Request(`${listener.url}/readyz`)));
  const signal = await ending;
  logger.info({ signal }, "ending");
  watch.close();
  if (envoy !== null) await leaveEnvoy(service, envoy, drainMs);
  await gateway?.running.close();
  await listener.close();
  // A silent server must not keep this process: everything admitted is booked, or in the journal.
  await Promise.race([closeStore(), sleep(CLIENT_CLOSES_MS)]);
  process.exit(0);
}

/** Checks the options, opens the store, and listens. When it throws, everything is closed again. */
async function start(options: ServeOptions, logger: Logger): Promise<Running> {
  const [{ createService }, { listen, prometheusMetrics }] = await Promise.all([
    import("../service/handler.ts"),
    import("../service/node.ts"),
  ]);
  const { bounds, listening } = boundsOf(options.set ?? []);
  const where = { host: options.host, port: wholeNumber("--port", options.port, 0, 65_535) };
  const tls = tlsOf(options);
  const policy = readInput(options.policy, "--policy");
  const file = writablePolicy(options.policy, options.policyWritable === true);
  // A wrong policy is refused before a store is opened.
  parsePolicy(policy, options.policy);
  const gatewayFile = gatewayOf(options, logger);
  if (options.audit !== undefined) checkAppendable(options.audit, "--audit");
  const audit = options.audit === undefined ? undefined : auditFile(options.audit);
  const onError = (error: unknown) => logger.error({ problem: String(error) }, "the key file is wrong");
  const keys = options.keys === undefined ? false : keyFile(options.keys, { onError });
  const { store, close: closeStore } = await openLastingStore(options.store);
  let envoy: EnvoyListening | null = null;
  let gateway: GatewayServing | null = null;
  let decisions: ServedLog | null = null;
  try {
    const { prefix } = options;
    decisions = await servedLog(options.log, options.isDefaultLog === true, logger);
    const failover = failoverOf(options);
    const parts = await servedParts(decisions, options.console, { file, gateway: gatewayFile });
    const service = inFile(options.policy, "invalid-policy", () =>
      createService({
        policy,
        policySource: options.policy,
        store,
        keys,
        prefix,
        failover,
        logger,
        bounds,
        audit,
        metrics: prometheusMetrics(),
        log: decisions ?? undefined,
        parts,
      }),
    );
    envoy = await listenForEnvoy(service, options);
    gateway = await startGateway(gatewayFile, service, logger);
    // `leaveEnvoy` has waited before the listener is closed.
    const drainMs = envoy === null ? listening.drainMs : 0;
    const listener = await listen(service, { ...listening, drainMs, ...where, tls }).catch((error) => {
      throw addressError(error, { ...where, hostOption: "--host", portOption: "--port" }) ?? error;
    });
    const hasLog = decisions !== null;
    return { service, listener, envoy, gateway, drainMs: listening.drainMs, hasLog, file, closeStore };
  } catch (error) {
    await envoy?.service.close({ graceMs: 0 });
    await gateway?.running.close();
    await decisions?.close();
    await closeStore();
    throw error;
  }
}

/** Takes the policy that the file has now, unless the service has written it itself, and takes it already. */
function reload(service: Service, path: string, file: WatchedPolicyFile | null): void {
  let policy: string;
  try {
    policy = readInput(path, "--policy");
  } catch (error) {
    refusePolicy(service.limiter, error);
    return;
  }
  if (file?.takeWritten() !== policy) service.reload(policy, { actor: fileActor(path) });
}

/** Prints all lines at once: a program that waits for the first line gets the others with it. */
function printStart(options: ServeOptions, url: string, { envoy, gateway }: Pick<Running, "envoy" | "gateway">): void {
  const { policy, store, keys, envoyMap } = options;
  const lines = [
    `tollgate listens at ${url} (${url}/docs says what it answers)`,
    ...(options.console ? [`  console ${url}/console/`] : []),
    `  policy  ${policyLabel(policy)}${options.policyWritable === true ? "; administrators may replace it" : ""}`,
    `  state   ${storeLabel(store)}`,
    `  keys    ${keys ?? "none: any process on this machine may send requests"}`,
    `  log     ${logLabel(options)}`,
    ...(gateway?.addresses ?? []).map((address) => `  mcp     ${address}`),
    ...(envoy === null ? [] : [`  envoy   ${envoy.address}, by ${envoyMap}`]),
  ];
  console.log(lines.join("\n"));
}

/** A file is of this machine: other instances of a shared store have logs of their own. */
function logLabel({ log, store }: ServeOptions): string {
  if (isServerLog(log)) return `${storeLabel(log)}: what all instances decide that write to it`;
  const isAlone = log !== "none" && !/^(?:memory:|sqlite:)/.test(store);
  return isAlone ? `${log}: what this instance decides, and not the others` : log;
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
    instances: instances === undefined ? undefined : wholeNumber("--instances", instances, 1, 10_000),
    journal: journal === undefined ? undefined : fileJournal(journal),
  };
}

function tlsOf({ tlsCert, tlsKey }: ServeOptions): ListenOptions["tls"] {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) {
    throw invalidOption("--tls-cert and --tls-key", "both of them, or none", tlsCert ?? tlsKey);
  }
  return readTls(tlsCert, tlsKey);
}

/** The bounds by name: of the service, and of listening. */
function boundsOf(pairs: readonly string[]): { bounds: ServiceBounds; listening: ListenOptions } {
  const bounds: Record<string, number> = {};
  const listening: Record<string, number> = {};
  for (const pair of pairs) {
    const [, name = "", number = ""] = /^(\w+)=(\d+)$/.exec(pair) ?? [];
    if (!BOUND_NAMES.includes(name)) throw wrongBound(pair);
    (SERVICE_BOUND_NAMES.includes(name) ? bounds : listening)[name] = Number(number);
  }
  return { bounds, listening };
}

function wrongBound(pair: string): MisuseError {
  const [name = ""] = pair.split("=");
  const expected = `name=number of ${BOUND_NAMES.join(", ")}`;
  const hint = BOUND_NAMES.includes(name) ? {} : typoHint(name, BOUND_NAMES);
  return new MisuseError("invalid-option", { path: "--set", expected, got: formatGot(pair), ...hint });
}
