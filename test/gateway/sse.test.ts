// Server-sent events, however their bytes arrive.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { dataOf, EventSplitter, withData } from "../../src/gateway/sse.ts";

function splitting(maxBytes = 10_000) {
  const events: string[] = [];
  const splitter = new EventSplitter(maxBytes, {
    onEvent: (bytes) => events.push(bytes.toString()),
    onTooLong: () => events.push("too long"),
  });
  return { splitter, events, push: (text: string) => splitter.push(Buffer.from(text)) };
}

/** The lines of an event. */
const fields = fc.array(
  fc.constantFrom("event: message", "id: 7", "retry: 10", 'data: {"a":"\u20ac"}', "data:x", "data", "other: 1"),
  { minLength: 1, maxLength: 4 },
);

describe("events", () => {
  // Fails when events are kept until the stream ends, and when their fields are written again.
  it("streams each event when it comes, with its name and id", () => {
    const { events, push } = splitting();
    push("event: message\nid: 1\ndata: {}");
    assert.deepEqual(events, []);
    push("\n\nid: 2\n");
    assert.deepEqual(events, ["event: message\nid: 1\ndata: {}\n\n"]);
    push("\n");
    assert.deepEqual(events.slice(1), ["id: 2\n\n"]);
    push(": still here\n");
    assert.deepEqual(events.slice(2), [": still here\n"]);
  });

  it("are the same however the bytes are cut, with any line ends", () => {
    fc.assert(
      fc.property(fc.array(fields), fc.constantFrom("\n", "\r\n"), fc.array(fc.nat()), (all, lineEnd, cuts) => {
        const texts = all.map((lines) => [...lines, "", ""].join(lineEnd));
        const bytes = Buffer.from(texts.join(""));
        const { splitter, events } = splitting();
        const places = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
        let from = 0;
        for (const place of places) {
          splitter.push(bytes.subarray(from, place));
          from = place;
        }
        splitter.end();
        assert.equal(events.join(""), texts.join(""));
        // A newline that comes after its carriage return was passed stands before the next event.
        const plain = events.join("\0").replaceAll("\r\0\n", "\r\n\0").split("\0");
        assert.deepEqual(
          plain.filter((text) => text !== ""),
          texts,
        );
      }),
    );
  });

  it("end at carriage returns alone, too", () => {
    const { events, push } = splitting();
    push("data: 1\r\rdata: 2\r\r");
    assert.deepEqual(events, ["data: 1\r\r", "data: 2\r\r"]);
  });

  it("that are longer than the bound end the stream", () => {
    const { splitter, events, push } = splitting(12);
    for (const text of ["data: 1\n\n", "data: 345", "678\n\n", "data: 2\n\n"]) push(text);
    splitter.end();
    assert.deepEqual(events, ["data: 1\n\n", "too long"]);
  });
});

describe("the data of an event", () => {
  it("is what its data lines have", () => {
    const data = (text: string) => dataOf(Buffer.from(text))?.toString() ?? null;
    assert.equal(data("event: a\ndata: {\r\ndata:  1\rdata\ndata:}\nid: data: 5\n\n"), "{\n 1\n\n}");
    assert.equal(data("\ndata: 1\n\n"), "1");
    assert.equal(data("event: a\ndatas: 1\n: data: 2\n\n"), null);
  });

  it("is replaced where it stands, and nothing else is", () => {
    const event = Buffer.from('id: \u20ac\r\ndata: {"a":\r\nevent: m\r\ndata:1}\r\n\r\n');
    const same = dataOf(event) ?? assert.fail("it has data");
    assert.deepEqual(withData(event, same), event);
    const other = withData(event, Buffer.from('{"b":\n"\u20ac"}')).toString();
    assert.equal(other, 'id: \u20ac\r\ndata: {"b":\r\nevent: m\r\ndata:"\u20ac"}\r\n\r\n');
    const single = withData(event, Buffer.from('{"c":1}'));
    assert.equal(single.toString(), 'id: \u20ac\r\ndata: {"c":1}\r\nevent: m\r\ndata:\r\n\r\n');
    assert.deepEqual(JSON.parse(String(dataOf(single))), { c: 1 });
  });
});
