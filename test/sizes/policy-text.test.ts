// Runtimes without files read policies from texts, and say why they cannot read a file.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bundleProgram, installPackage } from "../../scripts/package/size.ts";
import { temporaryFolder } from "../temporary.ts";
import { RUNNERS } from "./platforms.ts";

const PROGRAM = `
import { loadPolicy, parsePolicy, watchPolicy } from "tollgate/policy";
const faultOf = (read) => {
  try {
    return read();
  } catch (error) {
    return error.code + ": " + error.message;
  }
};
export async function run() {
  const { limits } = parsePolicy("version: 1\\nlimits: [{ name: per-session, per: [session], quota: 1 }]");
  return [limits[0].name, faultOf(() => loadPolicy("p.yaml")), faultOf(() => watchPolicy("p.yaml", { reload() {} }))];
}
`;

describe("a policy in a runtime without files", async () => {
  const folder = temporaryFolder();
  await installPackage(folder);

  for (const platform of ["browser", "workerd"] as const) {
    it(`is read from a text in ${platform}, and not from a file`, async () => {
      const bundled = await bundleProgram(PROGRAM, folder, platform);
      const fault =
        "invalid-policy: p.yaml: expected a runtime with files, such as Node, got none. parsePolicy reads a text.";
      const said = await RUNNERS[platform](folder)(bundled, "policy-text", "");
      assert.deepEqual([...(said as string[])], ["per-session", fault, fault]);
    });
  }
});
