// Which of Node's modules a subpath loads. Without any it runs in browsers, Workers and bundles.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bundlePackage } from "../../scripts/package/bundle.ts";
import { SUBPATHS } from "../../scripts/package/subpaths.ts";

/** Subpaths for Node alone, whose pages say so. */
const FOR_NODE = /^\.\/(journal|log\/sqlite|service\/(envoy|node)|stores\/sqlite|testing)$/;

describe("a subpath", async () => {
  const { outputs } = (await bundlePackage("dist")).metafile;

  /** Node's modules behind a built file, also those that are loaded later. */
  function nodeModulesOf(file: string): readonly string[] {
    const found = new Set<string>();
    const seen = new Set<string>();
    const visit = (path: string) => {
      if (seen.has(path)) return;
      seen.add(path);
      for (const imported of outputs[path]?.imports ?? assert.fail(`${path} is not built`)) {
        if (imported.external !== true) visit(imported.path);
        else if (imported.path.startsWith("node:")) found.add(imported.path);
      }
    };
    visit(file);
    return [...found].sort();
  }

  for (const [subpath, { default: built }] of SUBPATHS) {
    const loaded = nodeModulesOf(built.replace("./", ""));
    if (FOR_NODE.test(subpath)) {
      it(`for Node loads Node's modules: ${subpath}`, () => assert.notDeepEqual(loaded, []));
      continue;
    }
    it(`loads none of Node's modules: ${subpath}`, () => assert.deepEqual(loaded, []));
  }
});
