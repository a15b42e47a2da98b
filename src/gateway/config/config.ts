// What a gateway is started with, checked and whole: where its texts come from (a file, options) is not known here. And what it
// tells of itself while it runs.

import type { CallLimiter } from "../contract.ts";

/** How the credentials of clients reach a server. */
export type Credentials = "none" | "forward" | { readonly header: string; readonly value: string };

/** A server, as the file or the command line says it. */
export interface ServerConfig {
  readonly name: string;
  readonly url: URL;
  readonly credentials: Credentials;
  readonly maxInFlight: number;
  readonly connectMs: number;
}

export type Source =
  | { readonly header: string }
  | { readonly meta: string }
  | { readonly claim: string }
  | { readonly value: string };

export interface JwtConfig {
  readonly issuer: string;
  readonly audience: string;
  readonly jwks: { readonly url: URL } | { readonly file: string };
}

export type AuthConfig =
  | {
      readonly kind: "keys";
      readonly find: (
        authorization: string,
      ) => { readonly id: string; readonly tenants: readonly string[] | null } | null;
    }
  | { readonly kind: "jwt"; readonly jwt: JwtConfig }
  | {
      readonly kind: "proxy";
      readonly secretHeader: string;
      readonly secret: string;
      readonly user: string;
      readonly tenant: string | null;
    };

export interface CallsConfig {
  readonly identity: ReadonlyMap<string, Source>;
  readonly notices: "meta" | "content";
  readonly maxWaitMs: number;
  readonly secrets: readonly { readonly id: string; readonly secret: Uint8Array }[];
}

export interface HttpConfig {
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly hosts: readonly string[];
  readonly origins: readonly string[];
  /** The address that clients know; `null`: where it listens. */
  readonly publicUrl: URL | null;
  readonly auth: { readonly config: AuthConfig; readonly isOptional: boolean } | null;
  readonly servers: readonly ServerConfig[];
  readonly calls: CallsConfig;
  readonly maxRequestBytes: number;
  readonly maxMessageBytes: number;
}

export interface StdioConfig {
  readonly command: readonly [string, ...string[]];
  /** Without TOLLGATE_*. Who it is stands in `calls.identity`, as `{ value }`. */
  readonly env: Readonly<Record<string, string>>;
  readonly calls: CallsConfig;
  readonly maxMessageBytes: number;
}

/** What people can be told of servers and tools. The pipe and the ledger report, the console shows. */
export interface Registry {
  sawTools(server: string, tools: readonly { readonly name: string; readonly description: string | null }[]): void;
  sawCall(server: string, tool: string, isAllowed: boolean): void;
  sawServer(server: string, error: string | null): void;
  leftOut(server: string, tool: string, reason: string): void;
  view(): GatewayView;
}

export interface ToolView {
  readonly name: string;
  readonly description: string | null;
  readonly calls: number;
  readonly denied: number;
  readonly lastCallAtMs: number | null;
}

export interface ServerView {
  readonly name: string;
  readonly url: string;
  readonly state: "up" | "down" | "unknown";
  readonly error: string | null;
  readonly lastErrorAtMs: number | null;
  readonly tools: readonly ToolView[];
}

export interface GatewayView {
  readonly items: readonly ServerView[];
  readonly leftOut: readonly { readonly server: string; readonly tool: string; readonly reason: string }[];
}

/** What a gateway writes to: never a header's value, an argument or a result. */
export interface GatewayLog {
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

export type StartStdio = (config: StdioConfig, limiter: CallLimiter, log: GatewayLog) => Promise<Running>;

export interface HttpOptions {
  /** How long requests that are in flight may go on when the gateway closes, ms. Default 10,000. */
  readonly drainMs?: number;
  /** Most bytes that the bodies of all requests in flight may have. Default 268,435,456. */
  readonly maxBodiesBytes?: number;
  /** How long a server has for an answer that is merged with those of others, ms. Default 10,000. */
  readonly listMs?: number;
}

export type StartHttp = (
  config: HttpConfig,
  limiter: CallLimiter,
  registry: Registry,
  log: GatewayLog,
  options?: HttpOptions,
) => Promise<Running>;

/** A gateway that runs. */
export interface Running {
  /** Of HTTP: where it listens. */
  readonly url: string | null;
  /** Resolves with the exit code when it has ended by itself (stdio). */
  readonly ended: Promise<number>;
  close(): Promise<void>;
}
