// Lines of a stream, however its bytes arrive.

import assert from "node:assert/strict";
import { PassThrough, Writable } from "node:stream";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LineSplitter } from "../../src/gateway/lines.ts";
import { Garbage } from "../../src/gateway/stdio/garbage.ts";
import { Inlet, Outlet } from "../../src/gateway/stdio/flow.ts";

function splitting(maxBytes = 1_000) {
  const lines: string[] = [];
  const splitter = new LineSplitter(maxBytes, {
    onLine: (line) => lines.push(line.toString()),
    onTooLong: () => lines.push("too long"),
  });
  return { splitter, lines };
}

describe("lines", () => {
  it("are the same however the bytes are cut, and a last one needs no newline", () => {
    const line = fc.oneof(fc.string({ unit: "grapheme" }), fc.constant("\u20ac\r"));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat()), (texts, cuts) => {
        const plain = texts.map((text) => text.replaceAll("\n", ""));
        const bytes = Buffer.from(plain.join("\n"));
        const { splitter, lines } = splitting();
        const places = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
        let from = 0;
        for (const place of places) {
          splitter.push(bytes.subarray(from, place));
          from = place;
        }
        splitter.end();
        assert.deepEqual(
          lines,
          plain.filter((text) => text !== ""),
        );
      }),
    );
  });

  it("that are longer than the bound are dropped, and said once", () => {
    const { splitter, lines } = splitting(4);
    for (const text of ["1234\n12", "345", "6", "7\n1", "2\n123456"]) splitter.push(Buffer.from(text));
    splitter.end();
    assert.deepEqual(lines, ["1234", "too long", "12", "too long"]);
  });
});

describe("an outlet", () => {
  it("holds what feeds it until it takes more, or is closed", async () => {
    let take: () => void = () => {};
    const slow = new Writable({
      highWaterMark: 4,
      write(_chunk, _encoding, callback) {
        take = callback;
      },
    });
    const source = new PassThrough();
    const other = new PassThrough();
    const [fed, unfed] = [new Inlet(source.resume()), new Inlet(other.resume())];
    const outlet = new Outlet(slow);
    outlet.write(Buffer.from("a line"), fed);
    assert.ok(source.isPaused());
    // Another reason to wait stays.
    fed.hold("busy");
    while (slow.writableLength > 0) {
      take();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(source.isPaused());
    fed.release("busy");
    assert.ok(!source.isPaused());
    outlet.write(Buffer.from("a line"), fed);
    unfed.release("never held");
    slow.destroy();
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(!source.isPaused());
    assert.ok(!other.isPaused());
    let isTaken = false;
    outlet.write(Buffer.from("lost"), fed, () => {
      isTaken = true;
    });
    assert.ok(isTaken);
  });
});

describe("garbage", () => {
  it("is shown in part, and escaped", () => {
    const texts: string[] = [];
    const garbage = new Garbage({ warn: (_, text) => texts.push(text), error: assert.fail });
    garbage.add(Buffer.from(`\u001b[31m${"x".repeat(1_000_000)}`));
    assert.match(texts[0] ?? "", /: "\\u001b\[31mx{95}"$/);
    for (let n = 0; n < 100_000; n++) garbage.add(Buffer.from("x"));
    assert.equal(texts.length, 10);
    garbage.flush();
    assert.equal(texts[10], "the server wrote 99991 more lines that are no messages");
    garbage.flush();
    assert.equal(texts.length, 11);
  });
});
