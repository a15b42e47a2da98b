// What the console weighs, and what it is made of.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { buildConsole } from "../../scripts/package/console.ts";
import { importsOf, sources } from "../sources.ts";

const MAX_KB = 80;

describe("the console", () => {
  it(`has at most ${MAX_KB} kB compressed`, async () => {
    const { files } = await buildConsole();
    const bytes = files.reduce((sum, { content }) => sum + gzipSync(content, { level: 9 }).byteLength, 0);
    assert.ok(bytes / 1_000 <= MAX_KB, `${bytes / 1_000} kB`);
  });

  it("imports its own packages, and of the sources only words, durations, CSV and types", () => {
    const files = sources("console/**/*.{ts,tsx}");
    assert.ok(files.length > 10);
    for (const file of files) {
      for (const specifier of importsOf(file)) {
        const isOwn =
          /^\.{1,2}\/(?!.*src\/)/.test(specifier) || /^(preact|@preact\/signals|uplot)(\/|$)/.test(specifier);
        const isShared =
          /\.\.\/src\/(kernel\/(duration|words)|cli\/csv|log\/(entry|event-words|storage)|service-log\/gateway-view)\.ts$/.test(
            specifier,
          );
        assert.ok(isOwn || isShared, `${file.path} may not import ${specifier}`);
        if (/src\/log\/(entry|storage)/.test(specifier))
          assert.match(file.text, new RegExp(`import type [^;]*"${specifier}"`));
      }
    }
  });

  it("writes nothing into a page but what Preact escapes", () => {
    for (const { path, text } of sources("console/**/*.{ts,tsx}")) {
      assert.doesNotMatch(
        text,
        /dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function/,
        path,
      );
      assert.doesNotMatch(text, /localStorage|document\.cookie/, path);
      assert.doesNotMatch(text, /\sstyle=/, `${path}: the content security policy forbids it`);
    }
  });
});
