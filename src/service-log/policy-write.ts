// `PUT /v1/policy`: replaces the policy in force, and the file that it is from. A change that was made meanwhile, by another request or in
// the file, is never overwritten.

import type * as v from "valibot";
import { actor } from "../http/requests.ts";
import { closed, described, named, open, text, textOf, truth } from "../http/schema-parts.ts";
import { policyText } from "../http/simulation-bodies.ts";
import { MisuseError } from "../kernel/errors.ts";
import { readPolicyText } from "../policy-file/text.ts";
import { type Act, audited } from "../service/audit.ts";
import { actorOf } from "../service/auth.ts";
import type { Asking } from "../service/context.ts";
import { invalidRequest, ProblemError } from "../service/problems.ts";
import type { Route } from "../service/route.ts";

/** The file that a service has its policy from. */
export interface PolicyFile {
  /** Its text; `null`: it cannot be read. */
  read(): string | null;
  /** Replaces its text, or throws, and then it has the text that it had. */
  write(source: string): void;
}

const putSchema = named(
  "PolicyChange",
  closed({
    source: described(policyText, "The policy, in YAML or JSON."),
    reason: described(textOf(1, 500), "Why, for the audit log and the decision log."),
    actor,
  }),
);

const appliedSchema = named(
  "PolicyApplied",
  open({
    version: described(text, "The version in force."),
    isChanged: described(truth, "`false`: the same text was in force."),
  }),
);

type PolicyAct = Act & { readonly reason: string };
type PolicyChange = v.InferOutput<typeof putSchema>;

/** @param file `null`: the policy may not be written */
export function policyRoute(file: PolicyFile | null): Route {
  return {
    method: "PUT",
    path: "/v1/policy",
    operationId: "putPolicy",
    scope: "admin",
    summary: "Replace the policy in force, and its file; If-Match has the ETag of the one that is replaced",
    request: putSchema,
    response: appliedSchema,
    takesMatch: true,
    run: (asking, body) => putPolicy(asking, body as PolicyChange, file),
  };
}

async function putPolicy(asking: Asking, body: PolicyChange, file: PolicyFile | null): Promise<Response> {
  const { context, caller, request } = asking;
  if (caller.tenants !== null) throw new ProblemError("not-for-tenants", "The policy is for keys of no tenant.");
  if (file === null) {
    throw new ProblemError(
      "policy-read-only",
      "The service may not write its policy: start it with --policy-writable, or change the file, which it reads again.",
    );
  }
  const { source, etag } = context.inForce;
  const isChanged = body.source !== source;
  const match = request.headers.get("if-match");
  if (match === null) {
    throw new ProblemError("if-match-missing", "Send If-Match with the ETag of GET /v1/policy, which is replaced.");
  }
  // A retry of a change that was made has an old ETag.
  if (isChanged && !hasEtag(match, etag)) {
    throw new ProblemError(
      "policy-changed",
      "Another policy is in force by now: read it, and make the change in that.",
    );
  }
  const version = isChanged ? checked(body.source) : context.limiter.policy.version;
  const act = actOf(asking, body, version);
  const run = () => apply(asking, body.source, act, file);
  if (!isChanged) run();
  else await audited(context.audit, act, run);
  const headers = {
    "content-type": "application/json",
    etag: `"${context.inForce.etag}"`,
    "cache-control": "no-store",
  };
  return new Response(JSON.stringify({ version, isChanged }), { headers });
}

/** Whether a header names an ETag, in quotes or without. A weak one names no text exactly. */
function hasEtag(header: string, etag: string): boolean {
  return header.split(",").some((each) => each.trim().replace(/^"(.*)"$/, "$1") === etag);
}

/** The version of a policy. Throws ProblemError 400 with the lines of its faults. */
function checked(source: string): string {
  return orInvalid(() => readPolicyText(source, "source").policy.version);
}

function orInvalid<Value>(run: () => Value): Value {
  try {
    return run();
  } catch (error) {
    if (MisuseError.isInstance(error)) throw invalidRequest("invalid-policy", error.faults);
    throw error;
  }
}

function actOf({ context, caller }: Asking, { reason, actor: person }: PolicyChange, after: string): PolicyAct {
  const versions = { before: context.limiter.policy.version, after };
  return { act: "policy", actor: actorOf(caller, person), keyId: caller.keyId, reason, versions };
}

/** Nothing else runs meanwhile: no call is decided between the file and the limiter. */
function apply({ context }: Asking, source: string, { reason, actor }: PolicyAct, file: PolicyFile): void {
  const before = context.inForce.source;
  if (file.read() !== before) {
    throw new ProblemError(
      "policy-file-changed",
      "The policy's file has another text than the policy in force, and would be overwritten: mend the file, or put the policy in force back there.",
    );
  }
  if (source === before) return;
  write(file, source);
  try {
    orInvalid(() => context.reload(source, { reason, actor }));
  } catch (error) {
    // The store cannot keep it.
    write(file, before);
    throw error;
  }
}

function write(file: PolicyFile, source: string): void {
  try {
    file.write(source);
  } catch (error) {
    const { code = "", message } = error as { readonly code?: string; readonly message: string };
    throw new ProblemError(
      "policy-not-written",
      `The policy's file cannot be written: ${code === "" ? message : code}.`,
    );
  }
}
