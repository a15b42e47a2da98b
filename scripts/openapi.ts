// Writes the service's OpenAPI document, and the types of a client from it for the test that uses such a client. The generator of
// types wants another TypeScript than ours, so that it runs from the registry; a test sees when a document has changed.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROUTES } from "../src/service/routes.ts";
import { LOG_ROUTES } from "./log-routes.ts";
import { openApiDocument, openApiPart } from "./openapi-document.ts";

const GENERATOR = "openapi-typescript@7.13.0";
const types = new URL("../test/service/api.gen.ts", import.meta.url);
const source = new URL("../src/service/openapi.gen.ts", import.meta.url);
const logSource = new URL("../src/service-log/openapi-log.gen.ts", import.meta.url);

/** The file from which the service answers its document. */
export function documentSource(): string {
  return sourceOf("OPENAPI", openApiDocument(ROUTES));
}

/** The file from which a service with a decision log adds its routes to the document. */
export function logDocumentSource(): string {
  return sourceOf("OPENAPI_OF_LOG", openApiPart(LOG_ROUTES));
}

/** A file with an object: each path and each schema has a line. */
function sourceOf(name: string, document: object): string {
  const lines = Object.entries(document).map(([key, part]) => {
    const isLong = key === "paths" || key === "components";
    return `  ${JSON.stringify(key)}: ${isLong ? linesOf(part, key === "components" ? 2 : 1, "  ") : JSON.stringify(part)},`;
  });
  return `// Made by scripts/openapi.ts from the routes: \`npm run openapi\`.\n\nexport const ${name}: object = {\n${lines.join("\n")}\n};\n`;
}

function linesOf(object: object, levels: number, indent: string): string {
  const lines = Object.entries(object).map(([key, part]) => {
    const text = levels > 1 ? linesOf(part, levels - 1, `${indent}  `) : JSON.stringify(part);
    return `${indent}  ${JSON.stringify(key)}: ${text},`;
  });
  return `{\n${lines.join("\n")}\n${indent}}`;
}

/** What the generated types begin with: which document they are of. */
export function documentMark(): string {
  const text = JSON.stringify(openApiDocument(ROUTES));
  return `// ${GENERATOR} of a document with the SHA-256 ${createHash("sha256").update(text).digest("hex")}\n`;
}

if (import.meta.main) {
  writeFileSync(source, documentSource());
  writeFileSync(logSource, logDocumentSource());
  const folder = mkdtempSync(join(tmpdir(), "tollgate-openapi-"));
  const [document, made] = [join(folder, "openapi.json"), join(folder, "api.ts")];
  writeFileSync(document, JSON.stringify(openApiDocument(ROUTES)));
  const args = ["exec", "--yes", `--package=${GENERATOR}`, "--", "openapi-typescript", document, "-o", made];
  execFileSync("npm", args, { cwd: folder, stdio: "inherit" });
  writeFileSync(types, documentMark() + readFileSync(made, "utf8"));
  rmSync(folder, { recursive: true });
}
