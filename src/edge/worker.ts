// The service as a Worker: its handler over the Durable Object store. All of it is made when the Worker starts, so that a wrong
// policy is refused by `wrangler deploy`; bindings and secrets are read with the first request. A policy is no text here: what
// reads YAML, and what warns, would be a fifth of the Worker.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import { type Fault, MisuseError } from "../kernel/errors.ts";
import {
  callback,
  checked,
  choice,
  nonEmpty,
  type OptionsOf,
  readOptions,
  required,
  unchecked,
} from "../kernel/options.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import { compiledPolicy } from "../kernel/policy/parse.ts";
import { reasonOf } from "../kernel/reason.ts";
import type { LimiterEvent } from "../limiter.ts";
import type { ServiceBounds } from "../service/bounds.ts";
import { problemResponse } from "../service/exchange.ts";
import { type Keys, parseKeys } from "../service/keys.ts";
import { LOG_LEVELS } from "../service/logger.ts";
import type { ReadPolicy } from "../service/policies.ts";
import { ProblemError } from "../service/problems.ts";
import { serviceOn } from "../service/service.ts";
import { consoleLogger } from "./console-logger.ts";
import type { ObjectNamespace } from "./runtime.ts";
import { type DurableObjectStoreOptions, durableObjectStore } from "./store.ts";

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";

const OPTIONS = {
  policy: required(
    checked<object>(
      "a policy as an object: an imported JSON file, or definePolicy(…)",
      (value) => typeof value === "object" && value !== null,
    ),
  ),
  /** The name of the binding to the class `TollgateObject`, in `wrangler.jsonc`. Default `TOLLGATE`. */
  binding: nonEmpty("the name of a binding", "TOLLGATE"),
  /**
   * `secret`: the name of the secret that has the text of a key file. Default `TOLLGATE_KEYS`. `false`: callers need no key,
   * which is right for a Worker that only service bindings reach.
   */
  keys: checked<{ readonly secret: string } | false, { readonly secret: string }>(
    "{ secret } with the name of a secret, or false where no key is needed",
    (value) => {
      const { secret, ...others } = (value || {}) as { readonly secret?: unknown };
      return value === false || (isText(secret) && Object.keys(others).length === 0);
    },
    { secret: "TOLLGATE_KEYS" },
  ),
  /** As for `durableObjectStore`: how long a call may take. */
  deadlineMs: unchecked<number>(),
  /** As for `durableObjectStore`: where new objects are made. */
  locationHint: unchecked<string>(),
  /** As for `durableObjectStore`: what happens while an object does not answer. */
  failover: unchecked<DurableObjectStoreOptions["failover"]>(),
  /** The start of each key, and of each object's name. Default `rate`. */
  prefix: unchecked<string>(),
  /** Bounds of requests and waits. A call may wait for at most 30,000 ms. */
  bounds: unchecked<ServiceBounds>(),
  /** The least level of lines in the Worker's log. `debug` logs each request. Default `info`. */
  logLevel: choice(LOG_LEVELS, "info"),
  /** As for `createLimiter`: called with each decision. */
  onDecision: callback<(decision: Decision, call: Call) => unknown>(),
  /** As for `createLimiter`: called with each event. */
  onEvent: callback<(event: LimiterEvent) => unknown>(),
};

/** How a Worker is made. */
export interface TollgateWorkerOptions extends OptionsOf<typeof OPTIONS> {
  /** The policy as an object: a JSON file that is imported, or what `definePolicy` or `parsePolicy` makes. */
  readonly policy: object;
}

/** What a Worker exports as default. */
export interface TollgateWorker {
  fetch(request: Request, env: unknown, context: { waitUntil(promise: Promise<unknown>): void }): Promise<Response>;
}

/** How long the runtime lets a request go on when its caller has gone. */
const LONGEST_WAIT_MS = 30_000;

/**
 * The external limiter as a Worker: the routes of `tollgate serve`, except `/v1/events` and `/metrics`, over Durable Objects.
 * Export it as default, and export `TollgateObject` beside it.
 *
 * A request is answered with 500 `internal`, and the log says what to do, while a binding or a secret is missing.
 *
 * @throws MisuseError `invalid-option`, `invalid-policy`, `unsupported-limit`
 */
export function tollgateWorker(options: TollgateWorkerOptions): TollgateWorker {
  const settled = readOptions(OPTIONS, options);
  const { policy, binding, keys, deadlineMs, locationHint, failover, prefix, bounds, logLevel, onDecision, onEvent } =
    settled;
  checkWait(bounds);
  const logger = consoleLogger(logLevel);
  let bound: Bound | undefined;
  const inForce = () => bound as Bound;
  const namespace: ObjectNamespace = {
    idFromName: (name) => inForce().namespace.idFromName(name),
    get: (id, placement) => inForce().namespace.get(id, placement),
  };
  const service = serviceOn(
    { hasTimers: false, readPolicy },
    {
      policy: policy as PolicyInput,
      store: durableObjectStore({
        namespace,
        ...(deadlineMs === undefined ? {} : { deadlineMs }),
        ...(locationHint === undefined ? {} : { locationHint }),
        ...(failover === undefined ? {} : { failover }),
      }),
      keys: keys && { find: (id) => inForce().keys.find(id), close() {} },
      prefix,
      bounds,
      logger,
      onDecision,
      onEvent,
    },
  );
  return {
    async fetch(request, env, context) {
      try {
        bound ??= bindingsIn(env, binding, keys);
      } catch (error) {
        logger.error({ code: "invalid-option", problem: reasonOf(error) }, "the Worker is not set up");
        return problemResponse(new ProblemError("internal", "The Worker is not set up: its log says why."), request);
      }
      const answer = service.fetch(request);
      // A request whose caller has gone is ended otherwise, in the middle of what it does.
      context.waitUntil(answer);
      return answer;
    },
  };
}

/** `tollgate check` warns. */
const readPolicy: ReadPolicy = (given) => ({ policy: compiledPolicy(given as PolicyInput), warnings: () => [] });

function checkWait({ maxWaitMs = LONGEST_WAIT_MS }: ServiceBounds = {}): void {
  if (maxWaitMs <= LONGEST_WAIT_MS) return;
  const expected = `at most ${LONGEST_WAIT_MS} in a Worker, which ends a request so long after its caller has gone`;
  throw new MisuseError("invalid-option", { path: "bounds.maxWaitMs", expected, got: String(maxWaitMs) });
}

/** What a Worker is bound to. */
interface Bound {
  readonly namespace: ObjectNamespace;
  readonly keys: Pick<Keys, "find">;
}

function bindingsIn(env: unknown, binding: string, keys: { readonly secret: string } | false): Bound {
  const bound = env as Readonly<Record<string, unknown>>;
  const namespace = bound[binding] as ObjectNamespace | undefined;
  if (typeof namespace?.idFromName !== "function") {
    throw notBound(
      binding,
      "a binding to the class TollgateObject",
      namespace,
      `Add { "name": "${binding}", "class_name": "TollgateObject" } to durable_objects.bindings in wrangler.jsonc, and the class to new_sqlite_classes of a migration.`,
    );
  }
  if (keys === false) return { namespace, keys: { find: () => undefined } };
  const { secret } = keys;
  const text = bound[secret];
  if (typeof text !== "string") {
    throw notBound(
      secret,
      "the text of a key file as a secret",
      text,
      `Make one: tollgate keys create --file keys.json --scope decide. Then run wrangler secret put ${secret} < keys.json; for wrangler dev, write it into .dev.vars.`,
    );
  }
  return { namespace, keys: parseKeys(text, `the secret ${secret}`) };
}

function notBound(name: string, expected: string, got: unknown, hint: string): MisuseError {
  const fault: Fault = { path: `env.${name}`, expected, got: got === undefined ? "nothing" : typeof got, hint };
  return new MisuseError("invalid-option", fault);
}
