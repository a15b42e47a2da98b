// Messages pass as they came, and those that two readers may read differently are refused.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { idKey, jsonOf, readMessage, textOf } from "../../src/gateway/message.ts";
import { errorReply, RPC, Refusal } from "../../src/gateway/refusal.ts";

const ofClient = (text: string) => readMessage(Buffer.from(text), "client");
const ofServer = (text: string) => readMessage(Buffer.from(text), "server");

function refusalOf(bytes: string | Buffer, from: "client" | "server" = "client"): Refusal {
  try {
    readMessage(Buffer.from(bytes), from);
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    return error;
  }
  return assert.fail(`${bytes} was not refused`);
}

const call = (more: string) => `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search"${more}}}`;

describe("a message", () => {
  it("is a request, a notification or a response", () => {
    const kinds = {
      '{"id":1,"method":"ping"}': ["request", "1", "ping"],
      '{"id":"a","method":"ping","result":{}}': ["request", '"a"', "ping"],
      '{"method":"notifications/progress"}': ["notification", null, "notifications/progress"],
      '{"id":null,"method":"ping"}': ["notification", null, "ping"],
      '{"id":1,"result":{}}': ["response", "1", null],
      '{"id":null,"error":{"code":1}}': ["response", null, null],
      "{}": ["response", null, null],
      '{"id":1,"method":5}': ["request", "1", null],
    };
    for (const [text, [kind, rawId, method]] of Object.entries(kinds)) {
      const message = ofClient(text);
      assert.deepEqual([message.kind, message.rawId, message.method], [kind, rawId, method], text);
    }
  });

  it("has its id as it was written, also above 2^53", () => {
    for (const id of ["9007199254740993", '"9007199254740993"', "1.0", '"\\u0061"', '""', "-1"]) {
      assert.equal(ofClient(`{"id": ${id} ,"method":"ping"}`).rawId, id);
    }
  });

  it("compares ids by value only where every reader has the same value", () => {
    assert.equal(idKey('"\\u00e9"'), idKey('"\u00e9"'));
    assert.equal(idKey("1.0"), idKey("1"));
    assert.notEqual(idKey("1"), idKey('"1"'));
    assert.notEqual(idKey("9007199254740993"), idKey("9007199254740992"));
    assert.notEqual(idKey("9007199254740993.0"), idKey("9007199254740992"));
  });

  it("keeps its bytes, and has the values of its keys", () => {
    const bytes = Buffer.from(call(', "arguments":{"n": 1.0},"_meta":{"progressToken":9007199254740993}'));
    const message = readMessage(bytes, "client");
    assert.equal(message.bytes, bytes);
    assert.equal(textOf(message, "params.name"), "search");
    assert.deepEqual(jsonOf(message, "params.arguments"), { n: 1 });
    assert.equal(textOf(message, "params.arguments"), null);
    assert.equal(jsonOf(message, "params.task"), undefined);
    const answer = ofServer('{"id":1,"result":{"isError":true,"content":[]}}');
    assert.equal(jsonOf(answer, "result.isError"), true);
  });

  it("does not take a key with a point in it for a key of params", () => {
    const message = ofClient('{"id":1,"method":"tools/call","params":{"name":"dear"},"params.name":"cheap"}');
    assert.equal(textOf(message, "params.name"), "dear");
    const inner = ofClient('{"id":1,"method":"tools/call","params":{"name":"dear","arguments":{"name":"cheap"}}}');
    assert.equal(textOf(inner, "params.name"), "dear");
  });
});

describe("the reader of a client's messages", () => {
  it("tells apart what two parsers may read differently", () => {
    const ambiguous = {
      '{"id":1,"method":"ping","method":"tools/call"}': /the key "method" twice/,
      '{"id":1,"method":"ping","\\u006dethod":"tools/call"}': /the key "method" twice/,
      '{"id":1,"method":"ping","Method":"tools/call"}': /"Method", which some servers read as "method"/,
      '{"id":1,"method":"ping","param\u017f":{}}': /which some servers read as "params"/,
      [call(',"name":"other"')]: /the key "params.name" twice/,
      [call(',"Name":"other"')]: /"params.Name", which some servers read as "name"/,
      [call(',"ta\u017fk":{}')]: /which some servers read as "task"/,
      [call(',"x":1,"x":2')]: /the key "params.x" twice/,
      [`{"id":1,"method":"ping","params":{${Array.from({ length: 1_001 }, (_, n) => `"k${n}":0`)}}}`]:
        /more than 1000 keys/,
      [`{"id":"${"a".repeat(1_025)}","method":"ping"}`]: /more than 1024 bytes/,
      '[{"id":1,"method":"tools/call","params":{"name":"search"}}]': /batch/,
      '{"method":"tools/call","params":{"name":"search"}}': /needs an id/,
      '{"id":null,"method":"tools/call","params":{"name":"search"}}': /needs an id/,
      '{"id":{},"method":"tools/call","params":{"name":"search"}}': /needs an id/,
    };
    for (const [text, message] of Object.entries(ambiguous)) {
      const refusal = refusalOf(text);
      assert.match(refusal.message, message, text);
      assert.equal(refusal.code, RPC.invalidRequest, text);
    }
  });

  it("refuses bytes that are not UTF-8", () => {
    const refusal = refusalOf(
      Buffer.concat([Buffer.from('{"id":1,"method":"'), Buffer.from([0xff]), Buffer.from('"}')]),
    );
    assert.equal(refusal.code, RPC.invalidRequest);
    assert.match(refusal.message, /UTF-8/);
  });

  it("refuses what is no JSON object", () => {
    for (const text of ["", "hello", "5", '{"id":1', "\ufeff{}", "{} {}", '{"id":01}']) {
      assert.equal(refusalOf(text).code, RPC.parseError, text);
    }
  });

  it("refuses a call whose tool has no name that is a string", () => {
    for (const params of ["{}", '{"name":5}', '["search"]', '"search"', "null"]) {
      const refusal = refusalOf(`{"id":7,"method":"tools/call","params":${params}}`);
      assert.deepEqual([refusal.code, refusal.rawId], [RPC.invalidParams, "7"], params);
    }
    assert.equal(refusalOf('{"id":7,"method":"tools\\/call"}').code, RPC.invalidParams);
  });

  it("names the id of a refused message unless that is not clear", () => {
    assert.equal(refusalOf(call(',"name":"other"')).rawId, "7");
    assert.equal(refusalOf('{"id":1,"id":2,"method":"ping"}').rawId, null);
    assert.equal(refusalOf('{"id":1,"ID":2,"method":"ping"}').rawId, null);
  });

  it("lets pass what is unknown, and capitals in other methods", () => {
    for (const text of [
      '{"id":1,"method":"x/y","params":{"Name":1},"extra":{"a":1,"a":2},"extra":1}',
      call(',"arguments":{"a":1,"a":2,"Name":0}'),
      '{"id":1,"result":{"a":1,"a":2}}',
    ]) {
      assert.equal(ofClient(text).bytes.toString(), text);
    }
  });
});

describe("the reader of a server's messages", () => {
  it("refuses only what is no JSON object", () => {
    for (const text of ["hello", "[]", '{"id":1']) assert.throws(() => ofServer(text), Refusal, text);
    for (const text of ['{"id":1,"id":2,"Result":{}}', '{"id":1,"result":{"a":"\ufffd"}}']) ofServer(text);
    readMessage(Buffer.concat([Buffer.from('{"id":1,"result":"'), Buffer.from([0xff]), Buffer.from('"}')]), "server");
  });

  it("takes the last of two equal keys, as JSON.parse does", () => {
    assert.equal(ofServer('{"id":1,"id":2,"result":{}}').rawId, "2");
  });
});

describe("an error of the gateway", () => {
  it("says that it is the gateway's, and repeats the id as it was written", () => {
    const { body, status, headers } = errorReply("9007199254740993", RPC.busy, "Too many calls are running.");
    assert.equal(
      body.toString(),
      '{"jsonrpc":"2.0","id":9007199254740993,"error":' +
        '{"code":-32000,"message":"Too many calls are running.","data":{"source":"tollgate"}}}',
    );
    assert.deepEqual([status, headers], [200, { "content-type": "application/json" }]);
    assert.match(errorReply(null, RPC.parseError, "x", 400).body.toString(), /"id":null/);
  });
});
