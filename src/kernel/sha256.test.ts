import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { it } from "node:test";
import fc from "fast-check";
import { sha256 } from "./sha256.ts";

function hexOf(words: Int32Array): string {
  return [...words].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

it("is SHA-256, for every length of the last block", () => {
  assert.equal(
    hexOf(sha256(new TextEncoder().encode("abc"))),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
  const same = (bytes: Uint8Array) => {
    assert.equal(hexOf(sha256(bytes)), createHash("sha256").update(bytes).digest("hex"));
  };
  for (let length = 0; length <= 200; length++) same(new Uint8Array(length).fill(length));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1_000 }), same), { seed: 20_261_129 });
  same(new Uint8Array(1_000_003).fill(0xff));
});
