// The gateway's file: YAML or JSON, checked with every fault by line and column, as the configuration that a gateway is started with.

import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { type Fault, formatGot, MisuseError, withFaults } from "../../kernel/errors.ts";
import { parseDuration } from "../../kernel/duration.ts";
import type { CompiledPolicy } from "../../kernel/limit.ts";
import { valueAt } from "../../kernel/policy/place.ts";
import { readBy, type SchemaFault } from "../../kernel/policy/schema-kinds.ts";
import { typoHint } from "../../kernel/spelling.ts";
import { readYaml } from "../../policy-file/yaml-text.ts";
import { NOT_GIVEN, unknownDimensions } from "./against-policy.ts";
import type { AuthConfig, Credentials, HttpConfig, ServerConfig, Source } from "./config.ts";
import { type GatewayFile, gatewaySchema } from "./schema.ts";
import { type FileReading, Secrets } from "./secrets.ts";

const MIB = 1_048_576;
const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_PORT = 8430;
const IN_FLIGHT = 256;
const CONNECT_MS = 10_000;

/** What the file needs from outside. */
export interface GatewayContext extends FileReading {
  readonly policy: CompiledPolicy;
  /** Reads a file of API keys. */
  readonly openKeys: (path: string) => Extract<AuthConfig, { kind: "keys" }>["find"];
}

export interface ReadGateway {
  readonly config: HttpConfig;
  /** What is worth knowing at the start, as sentences. */
  readonly warnings: readonly string[];
  /** Runs `use`, and gives its faults the place of what they name in the file. */
  placed<Result>(use: () => Promise<Result>): Promise<Result>;
}

/**
 * @param source how faults name the file
 * @throws MisuseError `invalid-option` with every fault that was found
 */
export function readGateway(text: string, source: string, context: GatewayContext): ReadGateway {
  const { value, at } = readYaml(text, source, "invalid-option");
  const placeOf = (path: string) => at(path.split(".").map((key) => (/^\d+$/.test(key) ? Number(key) : key)));
  const read = readBy(gatewaySchema, value);
  if ("faults" in read) {
    throw new MisuseError(
      "invalid-option",
      read.faults.map((fault) => ({ ...faultOf(fault, value), at: at(fault.keys, fault.isKey ? "key" : "value") })),
    );
  }
  const file = read.value;
  const secrets = new Secrets(context);
  try {
    const config = configOf(file, context, secrets);
    const faults = [...contradictions(file, context.policy), ...secrets.faults];
    if (faults.length > 0) throw new MisuseError("invalid-option", faults);
    const placed = <Result>(use: () => Promise<Result>) =>
      use().catch((error) => {
        throw inFile(error, placeOf);
      });
    return { config, warnings: warningsOf(file, source), placed };
  } catch (error) {
    throw inFile(error, placeOf);
  }
}

/** An error whose faults have the place of what they name in the file. */
function inFile(error: unknown, placeOf: (path: string) => string): unknown {
  if (!MisuseError.isInstance(error) || error.code !== "invalid-option") return error;
  return withFaults(error, (fault) => ({ at: placeOf(fault.path), ...fault }));
}

/** What was found may be a secret that does not belong there. */
const MAY_BE_SECRET = new Set<string | number>(["secret", "credentials"]);

const NO_SECRET = "A secret never stands in the file: write { env: NAME } or { file: PATH }.";
const NO_COMMAND = "Over HTTP a server has an address. For a command use `tollgate mcp -- COMMAND`.";

function faultOf({ keys, expected, unknown, choices, isKey }: SchemaFault, value: unknown): Fault {
  const path = keys.join(".") || "the file";
  const [first] = unknown;
  const found = isKey ? keys.at(-1) : valueAt(value, keys);
  const isHidden = keys.some((key) => MAY_BE_SECRET.has(key)) && found !== undefined;
  if (first !== undefined) {
    const known = expected.replace(/^only /, "").split(", ");
    return { path, expected, got: isHidden ? "another key" : unknown.join(", "), ...typoHint(first, known) };
  }
  if (isHidden) return { path, expected, got: "something else", hint: NO_SECRET };
  const beside = valueAt(value, keys.slice(0, -1)) as { readonly command?: unknown } | null | undefined;
  if (keys.at(-1) === "url" && beside?.command !== undefined)
    return { path, expected, got: formatGot(found), hint: NO_COMMAND };
  const hint = typeof found === "string" ? typoHint(found, choices.map(String)) : {};
  return { path, expected, got: formatGot(found), ...hint };
}

function configOf(file: GatewayFile, context: GatewayContext, secrets: Secrets): HttpConfig {
  const { listen = {}, auth, maxWait } = file;
  const { host = DEFAULT_HOST, port = DEFAULT_PORT, hosts = [], origins = [], url, tls } = listen;
  return {
    host,
    port,
    tls: tls === undefined ? null : secrets.files("listen.tls", tls),
    hosts,
    origins,
    publicUrl: url === undefined ? null : new URL(url),
    auth: auth === undefined ? null : { config: authOf(auth, context, secrets), isOptional: auth.optional ?? false },
    servers: Object.entries(file.servers).map(([name, server]) => serverOf(name, server, file, secrets)),
    calls: {
      identity: sourcesOf(file),
      notices: file.notices ?? "meta",
      maxWaitMs: maxWait === undefined ? 0 : (parseDuration(maxWait) ?? 0),
      secrets: signingOf(file, secrets),
    },
    maxRequestBytes: 4 * MIB,
    maxMessageBytes: 32 * MIB,
  };
}

function authOf(auth: NonNullable<GatewayFile["auth"]>, context: GatewayContext, secrets: Secrets): AuthConfig {
  if ("keys" in auth) return { kind: "keys", find: context.openKeys(context.pathOf(auth.keys)) };
  if ("jwt" in auth) {
    const { issuer, audience, jwks } = auth.jwt;
    const where = typeof jwks === "string" ? { url: new URL(jwks) } : { file: context.pathOf(jwks.file) };
    return { kind: "jwt", jwt: { issuer, audience, jwks: where } };
  }
  const { secret, user, tenant = null } = auth.proxy;
  return {
    kind: "proxy",
    secretHeader: secret.header,
    secret: secrets.read("auth.proxy.secret", secret),
    user,
    tenant,
  };
}

function serverOf(
  name: string,
  { url, credentials, maxInFlight = IN_FLIGHT }: GatewayFile["servers"][string],
  { servers, auth }: GatewayFile,
  secrets: Secrets,
): ServerConfig {
  const isAlone = Object.keys(servers).length === 1 && auth === undefined;
  const given = (): Credentials => {
    if (credentials === undefined) return isAlone ? "forward" : "none";
    if (typeof credentials === "string") return credentials;
    const { header, prefix = "" } = credentials;
    return { header, value: `${prefix}${secrets.read(`servers.${name}.credentials`, credentials)}` };
  };
  return { name, url: new URL(url), credentials: given(), maxInFlight, connectMs: CONNECT_MS };
}

function sourcesOf({ identity = {} }: GatewayFile): ReadonlyMap<string, Source> {
  return new Map(Object.entries(identity));
}

/** A session that another instance has begun is known by the same secret. */
function signingOf({ secret }: GatewayFile, secrets: Secrets): HttpConfig["calls"]["secrets"] {
  if (secret === undefined) return [{ id: "process", secret: randomBytes(32) }];
  if (!Array.isArray(secret)) return [secrets.signing("secret", secret)];
  return secret.map((each, i) => secrets.signing(`secret.${i}`, each));
}

/** What the parts of a file require of one another, and of the policy. */
function contradictions(file: GatewayFile, policy: CompiledPolicy): Fault[] {
  const { auth, identity = {}, servers } = file;
  const faults: Fault[] = [];
  const demand = (isRight: boolean, path: string, expected: string, got: string) => {
    if (!isRight) faults.push({ path, expected, got });
  };
  const isToken = auth !== undefined && "jwt" in auth;
  for (const [name, source] of Object.entries(identity)) {
    const path = `identity.${name}`;
    demand(!NOT_GIVEN.has(name), path, "a dimension, and not a part of the call", name);
    demand(
      !("claim" in source) || isToken,
      path,
      "another source, or auth.jwt: only its tokens have claims",
      formatGot(source),
    );
  }
  for (const name of unknownDimensions(sourcesOf(file), policy)) {
    if (NOT_GIVEN.has(name)) continue;
    const known = [...policy.dimensions].filter((each) => !NOT_GIVEN.has(each));
    const expected = `one of the policy's dimensions: ${known.join(", ")}`;
    faults.push({ path: `identity.${name}`, expected, got: name, ...typoHint(name, known) });
  }
  const isOwn = auth !== undefined && !("proxy" in auth);
  const several =
    Object.keys(servers).length > 1 ? "there are several servers" : "clients have a credential for the gateway";
  for (const [name, { credentials }] of Object.entries(servers)) {
    const path = `servers.${name}.credentials`;
    const isSaid = credentials !== undefined || (Object.keys(servers).length === 1 && auth === undefined);
    demand(isSaid, path, `none, forward or { header, env }, because ${several}`, "nothing");
    const own = "none or { header, env }: Authorization is the gateway's own credential, which no server gets";
    demand(!(isOwn && credentials === "forward"), path, own, "forward");
  }
  return faults;
}

function warningsOf({ auth, secret, listen = {} }: GatewayFile, source: string): string[] {
  const isHere = isLoopback(listen.host ?? DEFAULT_HOST);
  return [
    ...(secret === undefined
      ? [`${source} has no secret: sessions end with this process, and other instances do not know them`]
      : []),
    ...(auth === undefined && !isHere ? [`${source} has no auth: all clients are one user, who is unidentified`] : []),
  ];
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
