// THIRD-PARTY-LICENSES: the packages whose code is in dist/, with their versions and licenses.

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Metafile } from "esbuild";
import { ROOT } from "./subpaths.ts";

/** The file, from the root. */
export const LICENSES = "THIRD-PARTY-LICENSES";

/** Licenses that allow what Tollgate does: to ship the code with the text of its license. */
const ALLOWED = ["Apache-2.0", "BSD-3-Clause", "ISC", "MIT"];

const HEAD = `The files in dist/ contain code of these packages. \`npm run build\` writes this list.`;

/** @throws Error when a package has no license that is allowed, or no text of it */
export function licensesOf(...metafiles: readonly Metafile[]): string {
  const folders = new Set(metafiles.flatMap((each) => [...bundledFolders(each)]));
  const sections = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8"));
    if (!ALLOWED.includes(license))
      throw new Error(`${name}: found the license ${license}, expected one of ${ALLOWED}`);
    const [file] = globSync("{LICENSE,LICENCE,license}*", { cwd: join(ROOT, folder) });
    if (file === undefined) throw new Error(`${name}: there is no text of its license`);
    const text = readFileSync(join(ROOT, folder, file), "utf8")
      .replaceAll("\r\n", "\n")
      .trim();
    return `## ${name} ${version} (${license})\n\n${text}\n`;
  });
  return [`${HEAD}\n`, ...sections].join("\n");
}

/** The folders of the packages that have code in a bundle. */
export function bundledFolders({ outputs }: Metafile): ReadonlySet<string> {
  const folders = new Set<string>();
  for (const { inputs } of Object.values(outputs)) {
    for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
      const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0];
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
    }
  }
  return folders;
}
