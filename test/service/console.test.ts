// The console's files over HTTP: what may run, what is kept, and that all of it works below any path.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { consoleFiles } from "../../src/cli/console.ts";
import { consolePart } from "../../src/service-log/console.ts";
import { served } from "./served.ts";

const { url, ask } = await served({ parts: [consolePart(consoleFiles)] });
const page = await ask("GET", "/console/");
const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, name = ""]) => name);

describe("the console", () => {
  it("is a page that loads its own files alone, by relative addresses", async () => {
    assert.equal(page.status, 200);
    assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
    assert.deepEqual(
      assets.map((name) => name.replace(/-[A-Z0-9]{8}\./, "-HASH.")),
      ["icon.svg", "app-HASH.css", "app-HASH.js"],
    );
    for (const name of assets) assert.equal((await ask("GET", `/console/${name}`)).status, 200, name);
  });

  it("lets nothing run that is not one of its files", async () => {
    for (const name of ["", ...assets]) {
      const { headers } = await ask("GET", `/console/${name}`);
      const policy = headers.get("content-security-policy") ?? "";
      assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';/);
      assert.match(policy, /base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/);
      assert.doesNotMatch(policy, /unsafe|\*/);
      assert.equal(headers.get("x-content-type-options"), "nosniff");
      assert.equal(headers.get("referrer-policy"), "no-referrer");
    }
    assert.doesNotMatch(page.text, /<style| style=|<script>| on\w+="/);
  });

  it("sends a browser on, below the path of a proxy, too", async () => {
    const { status, headers } = await fetch(`${url}/console`, { redirect: "manual" });
    assert.deepEqual([status, headers.get("location")], [308, "console/"]);
    const root = await fetch(url, { redirect: "manual" });
    assert.deepEqual([root.status, root.headers.get("location")], [302, "console/"]);
    assert.equal(new URL("console/", "https://example.com/gate/console").pathname, "/gate/console/");
  });

  it("sends what the browser has not got, compressed where it may be", async () => {
    for (const name of ["", ...assets]) {
      const { headers, text } = await ask("GET", `/console/${name}`, { headers: { "accept-encoding": "identity" } });
      const etag = headers.get("etag") ?? assert.fail("no ETag");
      const again = await ask("GET", `/console/${name}`, { headers: { "if-none-match": `"other", W/${etag}` } });
      assert.deepEqual([again.status, again.text], [304, ""]);
      const isHashed = name.startsWith("app-");
      assert.equal(headers.get("cache-control"), isHashed ? "public, max-age=31536000, immutable" : "no-cache");
      assert.equal(headers.get("content-encoding"), null);
      assert.ok(text.length > 100);
    }
    const script = assets.find((name) => name.endsWith(".js")) ?? "";
    const files = await consoleFiles();
    const { content, gzipped } = files.find(({ name }) => name === script) ?? assert.fail("no script");
    assert.deepEqual(new Uint8Array(gunzipSync(gzipped)), content);
    const zipped = await ask("GET", `/console/${script}`, { headers: { "accept-encoding": "gzip, br" } });
    assert.equal(zipped.headers.get("content-encoding"), "gzip");
    assert.equal(zipped.text, new TextDecoder().decode(content));
  });

  it("has no other files", async () => {
    for (const name of ["main.tsx", "..%2fpackage.json", "app.js"]) {
      assert.equal((await ask("GET", `/console/${name}`)).status, 404, name);
    }
    assert.equal((await ask("POST", "/console")).headers.get("allow"), "GET, HEAD");
  });

  it("is on the page of the routes, and not in the document of the API", async () => {
    const { text } = await ask("GET", "/docs");
    assert.deepEqual(text.match(/\/console[^<]*/g), ["/console"]);
    assert.ok(!Object.keys((await ask("GET", "/openapi.json")).json.paths).some((path) => path.includes("console")));
  });
});
