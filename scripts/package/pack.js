// Packs the package as it is published. The manifest loses the condition by which the repository's own programs run on
// the sources, because the package has none. Arguments go to `npm pack`; the tarball is what is published.
import "../../bin/require-node.js";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { scripts: _, devDependencies: __, ...manifest } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
for (const target of Object.values(manifest.exports)) delete target["tollgate-source"];

const folder = mkdtempSync(join(tmpdir(), "tollgate-pack-"));
for (const name of [...manifest.files, "README.md", "LICENSE"]) {
  cpSync(join(root, name), join(folder, name), { recursive: true });
}
writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
const { status } = spawnSync("npm", ["pack", folder, ...process.argv.slice(2)], { stdio: "inherit" });
rmSync(folder, { recursive: true, force: true });
process.exit(status ?? 1);
