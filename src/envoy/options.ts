// The options of Envoy's service and of its port: each with its check, its default and its comment for users.

import { checked, flag, nonEmpty, readOptions, required, unchecked, whole } from "../kernel/options.ts";
import type { OptionsOf, TableOf } from "../kernel/options.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { EnvoyMapping } from "./mapping.ts";
import type { TlsFiles } from "./server.ts";

export const ENVOY_OPTIONS = {
  mapping: required(unchecked<EnvoyMapping>()),
  /**
   * The policy of the limiter, where it is known: a mapping that contradicts it is then refused at once, and answers name the
   * units of windows, also after a reload.
   */
  policy: unchecked<Policy>(),
  /** Whether answers add `x-ratelimit-limit`, `-remaining` and `-reset` to responses. Envoy can do so itself. Default `false`. */
  headers: flag(false),
  /** Whether answers have the verdicts as dynamic metadata. Default `false`. */
  metadata: flag(false),
  /** The largest request, 1,024 to 4,194,304 bytes. Default 65,536. */
  maxMessageBytes: whole(1_024, 4_194_304, 65_536),
  /** The most requests in flight on one connection, 1 to 100,000. Default 1,000. */
  maxConcurrentStreams: whole(1, 100_000, 1_000),
};

/** The options of Envoy's service. */
export interface EnvoyOptions extends OptionsOf<typeof ENVOY_OPTIONS> {
  /** Which descriptors are limited, and which calls they are. */
  readonly mapping: EnvoyMapping;
}

const LISTEN_OPTIONS = {
  /** The address. Default `127.0.0.1`. */
  host: nonEmpty("a host or an address", "127.0.0.1"),
  /** The port, 0 to 65,535. Default 8421. 0: any free port. */
  port: whole(0, 65_535, 8_421),
  /** The certificate and its key. Default: none, for meshes with TLS of their own. */
  tls: unchecked<TlsFiles>(),
};

/** The address of Envoy's service. */
export interface EnvoyListenOptions extends OptionsOf<typeof LISTEN_OPTIONS> {}

const file = checked<string>("the path of a PEM file", (value) => typeof value === "string");
const TLS_OPTIONS: TableOf<TlsFiles> = { cert: required(file), key: required(file), clientCa: file };

export const CLOSE_OPTIONS = {
  /** How long requests in flight may take to end, 0 to 3,600,000 ms. Default 5,000. */
  graceMs: whole(0, 3_600_000, 5_000),
};

export interface EnvoyCloseOptions extends OptionsOf<typeof CLOSE_OPTIONS> {}

/** The address with its defaults. Throws `invalid-option`. */
export function readListenOptions(options: EnvoyListenOptions) {
  const read = readOptions(LISTEN_OPTIONS, options);
  if (read.tls !== undefined) readOptions(TLS_OPTIONS, read.tls, "tls");
  return read;
}
