// The options of Envoy's service and of its port.

import {
  flag,
  checked,
  nonEmpty,
  type OptionsOf,
  readOptions,
  required,
  type TableOf,
  unchecked,
  whole,
} from "../kernel/options.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { EnvoyMapping } from "./mapping.ts";
import type { TlsFiles } from "./server.ts";

/** The options of Envoy's service. */
export interface EnvoyOptions {
  /** Which descriptors are limited, and which calls they are. */
  readonly mapping: EnvoyMapping;
  /**
   * The policy of the limiter, where it is known: a mapping that contradicts it is then refused at once, and answers name the
   * units of windows, also after a reload.
   */
  readonly policy?: Policy | undefined;
  /** Whether answers add `x-ratelimit-limit`, `-remaining` and `-reset` to responses. Envoy can do so itself. Default `false`. */
  readonly headers?: boolean | undefined;
  /** Whether answers have the verdicts as dynamic metadata. Default `false`. */
  readonly metadata?: boolean | undefined;
  /** The largest request, 1,024 to 4,194,304 bytes. Default 65,536. */
  readonly maxMessageBytes?: number | undefined;
  /** The most requests in flight on one connection, 1 to 100,000. Default 1,000. */
  readonly maxConcurrentStreams?: number | undefined;
}

export const ENVOY_OPTIONS = {
  mapping: required(unchecked<EnvoyMapping>()),
  policy: unchecked<Policy>(),
  headers: flag(false),
  metadata: flag(false),
  maxMessageBytes: whole(1_024, 4_194_304, 65_536),
  maxConcurrentStreams: whole(1, 100_000, 1_000),
} satisfies TableOf<EnvoyOptions>;

/** The address of Envoy's service. */
export interface EnvoyListenOptions {
  /** The address. Default `127.0.0.1`. */
  readonly host?: string | undefined;
  /** The port, 0 to 65,535. Default 8421. 0: any free port. */
  readonly port?: number | undefined;
  /** The certificate and its key. Default: none, for meshes with TLS of their own. */
  readonly tls?: TlsFiles | undefined;
}

const LISTEN_OPTIONS = {
  host: nonEmpty("a host or an address", "127.0.0.1"),
  port: whole(0, 65_535, 8_421),
  tls: unchecked<TlsFiles>(),
} satisfies TableOf<EnvoyListenOptions>;

const file = checked<string>("the path of a PEM file", (value) => typeof value === "string");
const TLS_OPTIONS: TableOf<TlsFiles> = { cert: required(file), key: required(file), clientCa: file };

export const CLOSE_OPTIONS = {
  /** How long requests in flight may take to end, 0 to 3,600,000 ms. Default 5,000. */
  graceMs: whole(0, 3_600_000, 5_000),
};

export interface EnvoyCloseOptions extends OptionsOf<typeof CLOSE_OPTIONS> {}

/**
 * The address with its defaults.
 *
 * @throws MisuseError `invalid-option`
 */
export function readListenOptions(options: EnvoyListenOptions) {
  const read = readOptions(LISTEN_OPTIONS, options);
  if (read.tls !== undefined) readOptions(TLS_OPTIONS, read.tls, "tls");
  return read;
}
