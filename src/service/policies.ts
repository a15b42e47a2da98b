// The policies of a service: read, with their warnings logged, and as they were written.

import { MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { digest } from "../kernel/key.ts";
import { writtenPolicy } from "../kernel/policy/parse.ts";
import type { HostedLimiter } from "../limiter.ts";
import type { PolicyInForce } from "./context.ts";
import type { Logger } from "./logger.ts";
import type { ServiceOptions } from "./options.ts";

/** A parameter of the query of `/v1/usage`. No dimension can have the names of the others, which have capitals. */
const TAKEN = "cursor";

/** A warning of a policy, as the log has it. */
export interface LoggedWarning {
  readonly code: string;
  readonly at?: string;
  readonly path: string;
  readonly message: string;
  readonly hint: string | null;
}

/** Reads a policy. Throws `invalid-policy`. `source` is where its text is from. */
export type ReadPolicy = (
  given: ServiceOptions["policy"],
  source: string | undefined,
) => { readonly policy: CompiledPolicy; warnings(): readonly LoggedWarning[] };

export class Policies {
  readonly #read: ReadPolicy;
  readonly #options: Pick<ServiceOptions, "logger" | "policySource">;
  readonly #written = new WeakMap<CompiledPolicy, PolicyInForce>();

  constructor(read: ReadPolicy, options: Pick<ServiceOptions, "logger" | "policySource">) {
    this.#read = read;
    this.#options = options;
  }

  /** Reads a policy. Throws `invalid-policy`. */
  read(given: ServiceOptions["policy"]): CompiledPolicy {
    const { logger, policySource } = this.#options;
    const { policy, warnings } = this.#read(given, policySource);
    checkDimensions(policy);
    if (logger !== undefined) for (const warning of warnings()) logWarning(logger, warning);
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

function checkDimensions({ dimensions }: CompiledPolicy): void {
  if (!dimensions.has(TAKEN)) return;
  throw new MisuseError("invalid-policy", {
    path: "limits",
    expected: `dimensions with other names than ${TAKEN}, which GET /v1/usage reads itself`,
    got: TAKEN,
  });
}

function logWarning(logger: Logger, { code, at, path, message, hint }: LoggedWarning): void {
  logger.warn(
    { code, at, path, problem: hint === null ? message : `${message} ${hint}` },
    "a part of the policy has no effect as it is written",
  );
}

function asWritten(policy: CompiledPolicy, source = JSON.stringify(writtenPolicy(policy), null, 2)): PolicyInForce {
  return { source, etag: digest(source) };
}
