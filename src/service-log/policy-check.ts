// `POST /v1/policy/check`: what is wrong with a policy, by line, before it is applied anywhere. Nothing changes.

import * as v from "valibot";
import { type Fault, MisuseError } from "../kernel/errors.ts";
import { closed, described, listOf, named, open, text, whole } from "../http/schema-parts.ts";
import { policyText } from "../http/simulation-bodies.ts";
import { oneOf } from "../kernel/policy/schema-parts.ts";
import { readPolicyText } from "../policy-file/text.ts";
import type { Asking } from "../service/context.ts";
import { lineOf, ProblemError } from "../service/problems.ts";
import type { Route } from "../service/route.ts";

const sourceSchema = named("PolicySource", closed({ source: described(policyText, "A policy, in YAML or JSON.") }));

const findingSchema = open({
  level: oneOf("error", "warning"),
  path: described(text, "Where, such as `limits[0].quota`."),
  line: described(v.nullable(whole(1)), "`null`: no line is known."),
  column: v.nullable(whole(1)),
  message: text,
  hint: described(v.nullable(text), "What was probably meant, or what to write instead."),
});

const checkedSchema = named(
  "PolicyCheck",
  open({
    findings: described(listOf(findingSchema), "Errors, or else warnings, the first that stands in the text first."),
    version: described(v.nullable(text), "The version that it would have. `null`: it is wrong."),
  }),
);

type Finding = v.InferOutput<typeof findingSchema>;

export const POLICY_CHECK: Route = {
  method: "POST",
  path: "/v1/policy/check",
  operationId: "checkPolicy",
  scope: "read",
  summary: "What is wrong with a policy, by line; nothing is changed",
  request: sourceSchema,
  response: checkedSchema,
  run: (asking, body) => checkPolicy(asking, (body as { readonly source: string }).source),
};

function checkPolicy({ caller }: Asking, source: string) {
  if (caller.tenants !== null) throw new ProblemError("not-for-tenants", "The policy is for keys of no tenant.");
  try {
    const { policy, warnings } = readPolicyText(source);
    const findings = warnings().map((warning) => findingOf("warning", warning, warning.message));
    return { findings, version: policy.version };
  } catch (error) {
    if (!MisuseError.isInstance(error)) throw error;
    const wrong = ({ expected, got }: Fault) => `expected ${expected}, got ${got}`;
    return { findings: error.faults.map((fault) => findingOf("error", fault, wrong(fault))), version: null };
  }
}

interface Placed {
  readonly path: string;
  readonly at?: string;
  readonly hint?: string | null;
}

function findingOf(level: Finding["level"], { path, at, hint = null }: Placed, message: string): Finding {
  const { line = null, column = null } = lineOf(at);
  return { level, path, line, column, message, hint };
}
