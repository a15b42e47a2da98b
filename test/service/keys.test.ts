import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createKey, keyFile, readKeys, revokeKey } from "../../src/service/key-file.ts";
import { temporaryFolder } from "../temporary.ts";
import { served } from "./served.ts";

const folder = temporaryFolder();
let files = 0;
const newFile = () => join(folder, `keys-${++files}.json`);
const call = { tool: "search", session: "s" };

describe("a key file", () => {
  it("is readable only by its owner, and has no secret", () => {
    const file = newFile();
    const { id, key } = createKey(file, { scopes: ["decide", "read"], tenants: ["acme"], name: "agents" });
    assert.match(key, new RegExp(`^tg_${id}_[A-Za-z0-9_-]{43}$`));
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const text = readFileSync(file, "utf8");
    assert.ok(!text.includes(key.split("_").slice(2).join("_")));
    const [stored] = readKeys(file);
    assert.deepEqual(
      [stored?.id, stored?.scopes, stored?.tenants, stored?.name],
      [id, ["decide", "read"], ["acme"], "agents"],
    );
    assert.ok(!existsSync(`${file}.lock`));
  });

  it("is shared by instances: new and revoked keys apply soon, without a restart", async () => {
    const file = newFile();
    const first = createKey(file, { scopes: ["decide"] });
    const [one, other] = await Promise.all([1, 2].map(() => served({ keys: keyFile(file, { intervalMs: 100 }) })));
    const statusOf = async (key: string) =>
      Promise.all([one, other].map(async (server) => (await server?.post("/v1/peek", { call }, { key }))?.status));
    assert.deepEqual(await statusOf(first.key), [200, 200]);
    const second = createKey(file, { scopes: ["decide"] });
    while ((await statusOf(second.key)).join() !== "200,200") await sleep(20);
    revokeKey(file, first.id);
    while ((await statusOf(first.key)).join() !== "401,401") await sleep(20);
    assert.deepEqual(await statusOf(second.key), [200, 200]);
  });

  it("that becomes invalid changes nothing, and is reported", async () => {
    const file = newFile();
    const { key } = createKey(file, { scopes: ["decide"] });
    const errors: unknown[] = [];
    const server = await served({ keys: keyFile(file, { intervalMs: 100, onError: (error) => errors.push(error) }) });
    writeFileSync(file, "{");
    while (errors.length === 0) await sleep(20);
    assert.match(
      String(errors[0]),
      /keys: expected a key file as `tollgate keys create` writes it, at .*, got no JSON/,
    );
    assert.equal((await server.post("/v1/peek", { call }, { key })).status, 200);
  });

  it("is refused when others may write it, or when it is invalid", () => {
    const file = newFile();
    createKey(file, { scopes: ["decide"] });
    chmodSync(file, 0o660);
    assert.throws(() => keyFile(file), /only its owner may write/);
    const wrong = newFile();
    for (const text of ["", "[]", '{"version":2,"keys":[]}', '{"version":1,"keys":[{"id":"a"}]}']) {
      writeFileSync(wrong, text, { mode: 0o600 });
      assert.throws(() => keyFile(wrong), { code: "invalid-option" }, text);
    }
    assert.throws(() => keyFile(join(folder, "none.json")), { code: "invalid-option" });
    assert.throws(() => revokeKey(file.replace("keys-", "other-"), "none"), { code: "invalid-option" });
  });

  it("is changed by one command at a time, and names what it cannot store", () => {
    const file = newFile();
    writeFileSync(`${file}.lock`, "");
    assert.throws(() => createKey(file, { scopes: ["decide"] }), /no other command changes/);
    for (const bad of [
      { scopes: [] },
      { scopes: ["decide"] as const, tenants: [""] },
      { scopes: ["decide"] as const, tenants: ["\ud800"] },
    ]) {
      const other = newFile();
      assert.throws(() => createKey(other, bad), { code: "invalid-option" });
      assert.ok(!existsSync(other));
    }
  });
});
