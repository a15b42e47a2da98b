// A client of Envoy's rate limit service, made from Envoy's own protos: what the service says is held against those.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after } from "node:test";
import { credentials, makeClientConstructor, type ServiceDefinition, type ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";

/** What a response says, with longs and enums as text. */
export interface Answer {
  readonly overallCode: string;
  readonly statuses: readonly {
    readonly code: string;
    readonly currentLimit: { readonly name: string; readonly requestsPerUnit: number; readonly unit: string } | null;
    readonly limitRemaining: number;
    readonly durationUntilReset: { readonly seconds: string; readonly nanos: number } | null;
  }[];
  readonly responseHeadersToAdd: readonly { readonly key: string; readonly value: string }[];
  readonly rawBody: Buffer;
  readonly dynamicMetadata: unknown;
}

/** What is asked. */
export interface Question {
  readonly domain?: string;
  readonly descriptors: readonly Descriptor[];
  readonly hitsAddend?: number;
}

/** Entries by key, with `HITS` its own hits; or one after the other. */
type Descriptor = (Readonly<Record<string, string>> & { readonly [HITS]?: Hits }) | readonly (readonly string[])[];
interface Hits {
  readonly value: string | number;
  readonly isNegative?: boolean;
}

/** A descriptor's own hits. */
export const HITS = Symbol("hits");

type Ask = (
  request: object,
  options: object,
  callback: (error: ServiceError | null, answer: Answer) => void,
) => { cancel(): void };

const DEPS = join(ROOT, "node_modules/@grpc/grpc-js-xds/deps");
const RATE_LIMIT = "envoy/extensions/common/ratelimit/v3/ratelimit.proto";

/** The protos as they are, but for two fields of a descriptor that came later. */
function newerProtos(): string {
  const folder = temporaryFolder();
  const text = readFileSync(join(DEPS, "envoy-api", RATE_LIMIT), "utf8");
  const newer = text
    .replace('import "udpa', 'import "google/protobuf/wrappers.proto";\nimport "udpa')
    .replace(
      "RateLimitOverride limit = 2;",
      "$& google.protobuf.UInt64Value hits_addend = 3; bool is_negative_hits = 4;",
    );
  mkdirSync(dirname(join(folder, RATE_LIMIT)), { recursive: true });
  writeFileSync(join(folder, RATE_LIMIT), newer);
  return folder;
}

const definition = loadSync("envoy/service/ratelimit/v3/rls.proto", {
  includeDirs: [
    newerProtos(),
    ...["envoy-api", "xds", "protoc-gen-validate", "googleapis"].map((name) => join(DEPS, name)),
  ],
  longs: String,
  enums: String,
  defaults: true,
});
const service = definition["envoy.service.ratelimit.v3.RateLimitService"] as ServiceDefinition;
const RateLimitService = makeClientConstructor(service, "RateLimitService");

/** A client, closed with the test file. */
export function envoyClient(port: number, secure = credentials.createInsecure()) {
  const client = new RateLimitService(`127.0.0.1:${port}`, secure);
  after(() => client.close());
  const send = (request: object, deadlineMs: number): { answer: Promise<Answer>; cancel(): void } => {
    let cancel = () => {};
    const answer = new Promise<Answer>((resolve, reject) => {
      const deadline = Date.now() + deadlineMs;
      const ask = client.ShouldRateLimit?.bind(client) as Ask;
      const call = ask(request, { deadline }, (error, found) => (error ? reject(error) : resolve(found)));
      cancel = () => call.cancel();
    });
    return { answer, cancel };
  };
  const start = ({ domain = "agents", descriptors, hitsAddend = 0 }: Question, deadlineMs = 10_000) =>
    send({ domain, hitsAddend, descriptors: descriptors.map(wireOf) }, deadlineMs);
  return { start, ask: (question: Question, deadlineMs?: number) => start(question, deadlineMs).answer };
}

export type EnvoyClient = ReturnType<typeof envoyClient>;

function wireOf(descriptor: Descriptor) {
  if (Array.isArray(descriptor)) return { entries: descriptor.map(([key, value]) => ({ key, value })) };
  const { [HITS]: hits, ...entries } = descriptor as Exclude<Descriptor, readonly unknown[]>;
  return {
    entries: Object.entries(entries).map(([key, value]) => ({ key, value })),
    isNegativeHits: hits?.isNegative ?? false,
    ...(hits === undefined ? {} : { hitsAddend: { value: hits.value } }),
  };
}

/** The status code of a failure. */
export function codeOf(failure: unknown): number {
  return (failure as { code: number }).code;
}
