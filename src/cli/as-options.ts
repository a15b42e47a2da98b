// Faults in the words of the command line: the library names its options (`grant.units`), the user wrote `--units`.

import { DERIVED_DIMENSIONS, DIMENSIONS } from "../kernel/call.ts";
import { type Fault, MisuseError } from "../kernel/errors.ts";
import { BOUND_NAMES } from "../service/bounds.ts";

const OPTIONS: Readonly<Record<string, string>> = {
  apiKey: "TOLLGATE_API_KEY",
  args: "--args",
  asTenant: "--as-tenant",
  dimensions: "--dimension",
  "failover.instances": "--instances",
  "grant.id": "--id",
  "grant.durationMs": "--duration",
  "grant.units": "--units",
  host: "--host",
  id: "--id",
  keys: "--keys",
  limit: "--limit",
  name: "--name",
  port: "--port",
  prefix: "--prefix",
  reason: "--reason",
  scopes: "--scope",
  tenants: "--tenant",
  url: "--url",
};
const GIVEN: ReadonlySet<string> = new Set([...DIMENSIONS, ...DERIVED_DIMENSIONS]);

/**
 * A misuse whose faults name options. What has a place in a file stays as it is.
 *
 * @param own what a command calls some of them
 */
export function asOptions({ code, faults }: MisuseError, own: Readonly<Record<string, string>> = {}): MisuseError {
  const isDimension = code === "missing-dimension" || code === "invalid-dimension";
  return new MisuseError(
    code,
    faults.map((fault): Fault => {
      if (fault.at !== undefined || code === "invalid-policy") return fault;
      const { path } = fault;
      if (code === "missing-dimension") return missingOption(fault);
      if (path === "tenant" && isDimension) return { ...withAsTenant(fault), path: dimensionOption(path) };
      return { ...fault, path: own[path] ?? (isDimension ? dimensionOption(path) : optionOf(path)) };
    }),
  );
}

/** A fault whose texts say `asTenant` as an option. */
function withAsTenant({ expected, hint, ...fault }: Fault): Fault {
  const said = (text: string) => text.replace(/asTenant: (?=")/, "--as-tenant ").replace("asTenant", "--as-tenant");
  return { ...fault, expected: said(expected), ...(hint === undefined ? {} : { hint: said(hint) }) };
}

/** A dimension that the command line lacks: what to add. */
function missingOption({ path, expected, got }: Fault): Fault {
  const option = dimensionOption(path);
  return { path: option, expected, got, hint: `Add ${GIVEN.has(path) ? `${option} VALUE` : option}.` };
}

/** The option that says a dimension. */
export function dimensionOption(name: string): string {
  return GIVEN.has(name) ? `--${name}` : `--dimension ${name}=VALUE`;
}

function optionOf(path: string): string {
  const name = path.replace(/^bounds\./, "");
  return BOUND_NAMES.includes(name) ? `--set ${name}` : (OPTIONS[path] ?? path);
}
