// Writes the types of a client from the service's OpenAPI document, for the test that uses such a client. The generator wants
// another TypeScript than ours, so that it runs from the registry; a test sees when the document has changed.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openApiDocument } from "../src/service/openapi.ts";
import { ROUTES } from "../src/service/routes.ts";

const GENERATOR = "openapi-typescript@7.13.0";
const target = new URL("../test/service/api.gen.ts", import.meta.url);

/** What the generated file begins with: which document it is of. */
export function documentMark(): string {
  const text = JSON.stringify(openApiDocument(ROUTES));
  return `// ${GENERATOR} of a document with the SHA-256 ${createHash("sha256").update(text).digest("hex")}\n`;
}

if (import.meta.main) {
  const folder = mkdtempSync(join(tmpdir(), "tollgate-openapi-"));
  const [document, types] = [join(folder, "openapi.json"), join(folder, "api.ts")];
  writeFileSync(document, JSON.stringify(openApiDocument(ROUTES)));
  const args = ["exec", "--yes", `--package=${GENERATOR}`, "--", "openapi-typescript", document, "-o", types];
  execFileSync("npm", args, { cwd: folder, stdio: "inherit" });
  writeFileSync(target, documentMark() + readFileSync(types, "utf8"));
  rmSync(folder, { recursive: true });
}
