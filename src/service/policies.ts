// The policies of a service: read, with their warnings logged, and as they were written.

import { hash } from "node:crypto";
import { MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { compiledPolicy, writtenPolicy } from "../kernel/policy/parse.ts";
import type { HostedLimiter } from "../limiter.ts";
import { readPolicyText } from "../policy-file/file.ts";
import { type PolicyWarning, policyWarnings } from "../policy-warnings/warnings.ts";
import type { PolicyInForce } from "./context.ts";
import type { Log } from "./log.ts";
import type { ServiceOptions } from "./options.ts";

/** A parameter of the query of `/v1/usage`. No dimension can have the names of the others, which have capitals. */
const TAKEN = "cursor";

export class Policies {
  readonly #options: Pick<ServiceOptions, "log" | "policySource">;
  readonly #written = new WeakMap<CompiledPolicy, PolicyInForce>();

  constructor(options: Pick<ServiceOptions, "log" | "policySource">) {
    this.#options = options;
  }

  /** Reads a policy. Throws `invalid-policy`. */
  read(given: ServiceOptions["policy"]): CompiledPolicy {
    const { log, policySource } = this.#options;
    const { policy, warnings } = readPolicy(given, policySource);
    if (log !== undefined) for (const warning of warnings()) logWarning(log, warning);
    this.#written.set(policy, asWritten(policy, typeof given === "string" ? given : undefined));
    return policy;
  }

  /** The policy that the limiter applies as it was written, also after the limiter was reloaded directly. */
  inForce({ policy }: HostedLimiter): PolicyInForce {
    const known = this.#written.get(policy) ?? asWritten(policy);
    this.#written.set(policy, known);
    return known;
  }
}

function readPolicy(given: ServiceOptions["policy"], source: string | undefined) {
  const read = typeof given === "string" ? readPolicyText(given, source) : { policy: compiledPolicy(given) };
  const { policy } = read;
  if (policy.dimensions.has(TAKEN)) {
    throw new MisuseError("invalid-policy", {
      path: "limits",
      expected: `dimensions with other names than ${TAKEN}, which GET /v1/usage reads itself`,
      got: TAKEN,
    });
  }
  return { warnings: () => policyWarnings(policy), ...read };
}

function logWarning(log: Log, { code, at, path, message, hint }: PolicyWarning): void {
  log.warn(
    { code, at, path, problem: hint === null ? message : `${message} ${hint}` },
    "a part of the policy has no effect as it is written",
  );
}

function asWritten(policy: CompiledPolicy, source = JSON.stringify(writtenPolicy(policy), null, 2)): PolicyInForce {
  return { source, etag: hash("sha256", source).slice(0, 32) };
}
