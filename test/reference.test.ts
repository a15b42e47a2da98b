// The reference pages have what the code has: generated pages are made again, and tables by hand have every field and key.

import { ALL_ROUTES } from "../scripts/log-routes.ts";
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import type { PolicyInput } from "tollgate";
import { policySchema } from "../scripts/reference/policy-keys.ts";
import { placesOf } from "../scripts/reference/schema-keys.ts";
import { FOLDER, REFERENCE } from "../scripts/reference.ts";
import { compiledPolicy } from "../src/kernel/policy/parse.ts";
import { ROOT } from "./sources.ts";
import { publicNames } from "./surface/public-names.ts";

const read = (path: string) => readFileSync(`${ROOT}${path}`, "utf8");

describe("the reference", () => {
  for (const [name, page] of Object.entries(REFERENCE)) {
    it(`${name} is what the code says`, async () => {
      assert.equal(readFileSync(new URL(name, FOLDER), "utf8"), await page(), "run npm run reference");
    });
  }

  it("has a row for each of its pages", () => {
    const index = readFileSync(new URL("README.md", FOLDER), "utf8");
    const pages = readdirSync(FOLDER).filter((name) => name !== "README.md");
    assert.deepEqual(pages.toSorted(), Object.keys(REFERENCE).toSorted());
    for (const name of pages) assert.ok(index.includes(`](${name})`), name);
  });
});

/** The part of docs/limiter.md below a heading. */
function section(heading: string): string {
  const [, text] = read("docs/limiter.md").split(`\n${heading}\n`);
  assert.ok(text !== undefined, `docs/limiter.md has no heading "${heading}"`);
  return text.slice(0, text.search(/\n#{2,} /));
}

/** The names in backticks in the first cells of a section's tables. */
function namesIn(text: string): string[] {
  const cells = text.split("\n").flatMap((line) => (line.startsWith("| `") ? (line.split("|")[1] ?? []) : []));
  return cells.flatMap((cell) => [...cell.matchAll(/`(\w+)[^`]*`/g)].map(([, name = ""]) => name)).toSorted();
}

describe("the page of the limiter", async () => {
  const names = await publicNames();
  const fieldsOf = (...types: readonly string[]) => {
    const fields = names.filter(({ subpath, name }) => subpath === "tollgate" && types.includes(name));
    assert.ok(fields.length === types.length, types.join());
    return [...new Set(fields.flatMap((type) => type.fields.map(({ name }) => name)))].toSorted();
  };

  it("has every method of a limiter", () => {
    assert.deepEqual(namesIn(section("## Methods")), fieldsOf("Limiter"));
  });

  it("has every option of a method", () => {
    const options = fieldsOf("ChangeOptions", "CloseOptions", "HoldOptions", "ReserveOptions", "RunOptions");
    assert.deepEqual(namesIn(section("### Options of methods")), options);
  });

  it("names every option of createLimiter", () => {
    const text = section("### Options of methods");
    for (const name of fieldsOf("LimiterOptions")) assert.ok(text.includes(`\`${name}\``), name);
  });

  it("has every field of a decision", () => {
    const table = namesIn(section("## Decision"));
    assert.deepEqual(table, fieldsOf("Allowed"));
    assert.deepEqual(table, fieldsOf("Denied"));
  });

  it("has every field of a verdict", () => {
    assert.deepEqual(namesIn(section("### Verdict")), fieldsOf("Verdict"));
  });

  it("has every field of usage", () => {
    assert.deepEqual(namesIn(section("## Usage")), fieldsOf("BucketUsage"));
  });

  it("has every member of a hold, and every field of a settlement", () => {
    const text = section("## Hold");
    assert.deepEqual(namesIn(text), fieldsOf("Hold"));
    for (const name of fieldsOf("Settlement")) assert.ok(text.includes(`\`${name}\``), name);
  });
});

describe("the page of policies", () => {
  const places = placesOf(policySchema());

  it("has every key, and every word that a key takes", () => {
    const code = read("docs/policy.md").match(/^```[\s\S]*?^```|`[^`\n]+`/gm) ?? [];
    const shown = new Set(code.flatMap((each) => each.match(/[$\w-]+/g) ?? []));
    const words = [...places].flatMap(([path, place]) => [path.replace(/^.*[.\]]/, ""), ...place.words]);
    assert.deepEqual(
      [...new Set(words)].filter((word) => !shown.has(word)),
      [],
    );
  });

  /** What a key is without being written: the key, its default, and a limit beside which it can stand. */
  const DEFAULTS: readonly [path: string, value: unknown, limit?: object][] = [
    ["partition", "session"],
    ["onError", "charge"],
    ["maxHold", "1h"],
    ["defaults.onMissing", "error"],
    ["defaults.onStoreError", "share"],
    ["defaults.mode", "enforce"],
    ["defaults.notice.at", 0.8],
    ["defaults.notice.at", "never", { window: "day" }],
    ["defaults.hold.lease", "2m"],
    ["defaults.hold.onExpiry", "charge"],
    ["defaults.timezone", "UTC", { window: "day" }],
    ["limits[].onMissing", "error"],
    ["limits[].onStoreError", "share"],
    ["limits[].mode", "enforce"],
    ["limits[].notice.at", 0.8],
    ["limits[].notice.at", "never", { window: "day" }],
    ["limits[].unit", "calls"],
    ["limits[].hold.lease", "2m"],
    ["limits[].hold.onExpiry", "charge"],
    ["limits[].resetAfterIdle", "30d"],
    ["limits[].resetAfterIdle", "24h", { per: ["session", "turn"] }],
    ["limits[].align", "epoch", { algorithm: "fixed-window", window: "1m" }],
    ["limits[].timezone", "UTC", { window: "day" }],
    ["limits[].anchorDay", 1, { window: "week" }],
  ];

  const policyWith = (path: string, value: unknown, limit: object): PolicyInput => {
    const policy = { version: 1, limits: [{ name: "a", per: ["session"], quota: 5, ...limit }] };
    let object: Record<string, unknown> = path.startsWith("limits[].") ? (policy.limits[0] as object as never) : policy;
    const keys = path.replace("limits[].", "").split(".");
    for (const key of keys.slice(0, -1)) {
      object[key] = {};
      object = object[key] as Record<string, unknown>;
    }
    object[keys.at(-1) ?? ""] = value;
    return policy as PolicyInput;
  };
  /** What a policy means: everything but the hash of its text. */
  const meaning = (policy: PolicyInput) => inspect({ ...compiledPolicy(policy), version: "" }, { depth: null });

  for (const [path, value, limit = {}] of DEFAULTS) {
    it(`says the default of ${path}, which is ${value}`, () => {
      const plain = { version: 1, limits: [{ name: "a", per: ["session"], quota: 5, ...limit }] } as PolicyInput;
      assert.equal(meaning(policyWith(path, value, limit)), meaning(plain));
      const texts = places.get(path)?.schemas.map(({ schema }) => schema.description ?? "") ?? [];
      const text = texts.find((each) => /default/i.test(each)) ?? "";
      assert.match(text, new RegExp(`Default:? .*\\b${value}\\b|\\b${value}\\b.*the default`), path);
    });
  }

  it("has a test for each default that is a value", () => {
    // "Default: the quota" and the like refer to another key.
    const stated = [...places].filter(([, { schemas }]) =>
      schemas.some(({ schema }) => /Default [\w"]|Default: \d|the default[,)]/.test(schema.description ?? "")),
    );
    const tested = new Set(DEFAULTS.map(([path]) => path));
    assert.deepEqual(
      stated.map(([path]) => path).filter((path) => !tested.has(path)),
      [],
    );
  });
});

describe("the page of commands", () => {
  it("explains every command and every option", async () => {
    const page = read("docs/cli.md") + read("docs/service.md") + read("docs/envoy.md");
    const reference = await REFERENCE["commands.md"]();
    const options = [...reference.matchAll(/^\| `(--[\w-]+)/gm)].map(([, flag = ""]) => flag);
    const names = [...reference.matchAll(/^`(tollgate [a-z ]+?) [<[]/gm)].map(([, name = ""]) => name);
    assert.ok(options.length > 50 && names.length > 10);
    const missing = [...new Set([...options, ...names])].filter((text) => !page.includes(text));
    assert.deepEqual(missing, []);
  });
});

describe("the page of the service", () => {
  it("has every route with its scope, and no other", () => {
    const rows = [...read("docs/service.md").matchAll(/^\| `(GET|POST|PUT) ([^`]+)` *\| (\w+|-) +\|/gm)];
    const shown = rows.map(([, method, path, scope]) => `${method} ${path} ${scope === "-" ? "none" : scope}`);
    const known = ALL_ROUTES.map(({ method, path, scope }) => `${method} ${path} ${scope ?? "none"}`);
    assert.deepEqual(shown.toSorted(), known.toSorted());
  });
});
