// Tokens that travel through clients: what was changed, moved or signed by others opens nothing.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MisuseError } from "tollgate";
import { fakeClock } from "tollgate/testing";
import type { Seal } from "../../src/gateway/contract.ts";
import { createSeal } from "../../src/gateway/seal.ts";

const key = (id: string, byte: number) => ({ id, secret: new Uint8Array(32).fill(byte) });
const ALICE = ["alice", "acme"];
const CONTENT = JSON.stringify({ h: "run-1", text: "Grüße, 世界" });

function opened(seal: Seal, token: string, boundTo: readonly (string | null)[] = ALICE) {
  return seal.open("state", token, boundTo)?.content ?? null;
}

describe("a seal", () => {
  it("opens what it has sealed, and says how old that is", () => {
    const clock = fakeClock();
    const seal = createSeal([key("a", 1)], clock);
    const token = seal.seal("state", CONTENT, ALICE);
    clock.advance(1_234);
    assert.deepEqual(seal.open("state", token, ALICE), { content: CONTENT, ageMs: 1_234 });
    clock.advance(-2_000);
    assert.equal(seal.open("state", token, ALICE)?.ageMs, -766);
    assert.match(token, /^tgr1\.a\.[\w-]+\.[\w-]+\.[\w-]{43}$/);
    assert.match(seal.seal("session", "", []), /^tgs1\.a\./);
  });

  it("opens nothing after any character was changed, removed or added", () => {
    const seal = createSeal([key("a", 1), key("b", 1)]);
    const token = seal.seal("state", CONTENT, ALICE);
    for (let i = 0; i < token.length; i++) {
      for (const other of ["A", "B", "b", "_", ".", "é", ""]) {
        const changed = token.slice(0, i) + other + token.slice(i + 1);
        if (changed !== token) assert.equal(opened(seal, changed), null, `${i} ${other}`);
      }
    }
    for (const changed of [`${token}A`, `${token}.`, `${token}=`, `${token}.x`, `A${token}`, `${token} `, ""]) {
      assert.equal(opened(seal, changed), null, changed);
    }
    assert.equal(opened(seal, token), CONTENT);
  });

  it("opens nothing that encodes the same bytes by another text", () => {
    const seal = createSeal([key("a", 1)]);
    const token = seal.seal("state", CONTENT, ALICE);
    const last = token.at(-1) ?? "";
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (const other of alphabet.replace(last, "")) assert.equal(opened(seal, token.slice(0, -1) + other), null);
  });

  it("keeps purposes and principals apart", () => {
    const seal = createSeal([key("a", 1)]);
    const token = seal.seal("state", CONTENT, ALICE);
    assert.equal(seal.open("session", token, ALICE), null);
    assert.equal(seal.open("session", token.replace("tgr1", "tgs1"), ALICE), null);
    const others = [["alice"], ["alice", null], ["alice,acme"], ["acme", "alice"], [null, "acme"], [...ALICE, ""], []];
    for (const other of others) assert.equal(opened(seal, token, other), null, JSON.stringify(other));
    const nulls = seal.seal("state", CONTENT, [null]);
    assert.deepEqual([opened(seal, nulls, ["null"]), opened(seal, nulls, [null])], [null, CONTENT]);
  });

  it("opens what an old key has signed, and nothing of an unknown key", () => {
    const old = createSeal([key("2029", 1)]).seal("state", CONTENT, ALICE);
    const seal = createSeal([key("2030", 2), key("2029", 1)]);
    assert.equal(opened(seal, old), CONTENT);
    assert.match(seal.seal("state", CONTENT, ALICE), /^tgr1\.2030\./);
    assert.equal(opened(createSeal([key("2030", 2)]), old), null);
    // The same id with another secret.
    assert.equal(opened(createSeal([key("2029", 2)]), old), null);
    assert.equal(opened(seal, old.replace(".2029.", ".2030.")), null);
  });

  it("bounds the length of tokens", () => {
    const seal = createSeal([key("a", 1)]);
    assert.throws(() => seal.seal("session", "x".repeat(3_072), ALICE), RangeError);
    assert.throws(() => seal.seal("state", "x".repeat(3 * 2 ** 20), ALICE), RangeError);
    const long = seal.seal("session", "x".repeat(3_000), ALICE);
    assert.ok(seal.open("session", long, ALICE) !== null);
    assert.equal(seal.open("session", long.padEnd(4_097, "A"), ALICE), null);
  });

  it("refuses secrets that are short, equal in their ids, or missing, and shows none", () => {
    const short = { id: "a", secret: Buffer.from("a secret of 31 bytes, not of 32") };
    for (const secrets of [[], [short], [key("a.b", 1)], [key("", 1)], [key("a", 1), key("a", 2)]]) {
      assert.throws(
        () => createSeal(secrets),
        (error) => MisuseError.isInstance(error) && !error.message.includes("secret of 31"),
      );
    }
  });
});
