import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { fileReasonOf, reasonOf } from "./reason.ts";

const fault = (message: string, more: object = {}) => Object.assign(new Error(message), more);

describe("reasonOf", () => {
  const refused = { code: "ECONNREFUSED", address: "127.0.0.1", port: 6379 };
  const cases: [name: string, error: unknown, reason: string][] = [
    ["a message", fault("connect ECONNREFUSED 127.0.0.1:6379", refused), "connect ECONNREFUSED 127.0.0.1:6379"],
    [
      "each address that was tried",
      Object.assign(
        new AggregateError([fault("connect ECONNREFUSED ::1:1"), fault("connect ECONNREFUSED 127.0.0.1:1")], ""),
        { code: "ECONNREFUSED" },
      ),
      "connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1",
    ],
    [
      "its causes",
      fault("Connection is closed.", { cause: fault("read failed", { cause: fault("the wire broke") }) }),
      "Connection is closed. (read failed; the wire broke)",
    ],
    [
      "what the last server of a cluster said",
      fault("Failed to refresh slots cache.", { lastNodeError: fault("connect ECONNREFUSED 127.0.0.1:1") }),
      "Failed to refresh slots cache. (connect ECONNREFUSED 127.0.0.1:1)",
    ],
    [
      "the code and the address that a message lacks",
      fault("self-signed certificate", { code: "DEPTH_ZERO_SELF_SIGNED_CERT", host: "db", port: 5432 }),
      "self-signed certificate DEPTH_ZERO_SELF_SIGNED_CERT db:5432",
    ],
    ["an address without a port", fault("timeout", { hostname: "db" }), "timeout db"],
    ["no state of SQL", fault("password authentication failed", { code: "28P01" }), "password authentication failed"],
    ["no cause twice", fault("one: two", { cause: fault("two") }), "one: two"],
    ["a cause that says more instead", fault("reset", { cause: fault("reset at a:1") }), "reset at a:1"],
    ["a text on one line", " broken\n  pipe \n", "broken pipe"],
    ["what is no error", { code: 7 }, '{"code":7}'],
    ["that nothing is known", fault(""), "an error without a message"],
    ["nothing", undefined, ""],
    [
      "no password",
      fault("connect redis://me:s3cret@host:1 with password=s3cret&x=1"),
      "connect redis://…@host:1 with password=…&x=1",
    ],
    [
      "no part of a password with an @",
      fault("connect redis://me:s3@cret@host:1 failed"),
      "connect redis://…@host:1 failed",
    ],
  ];
  for (const [name, error, reason] of cases) {
    it(`says ${name}`, () => assert.equal(reasonOf(error), reason));
  }

  it("is bounded, also for a cyclic cause", () => {
    const own = fault("again");
    own.cause = own;
    assert.equal(reasonOf(own), "again");
    const long = reasonOf(fault("x".repeat(10_000)));
    assert.equal(long.length, 500);
    const many = new AggregateError(Array.from({ length: 100 }, (_, i) => fault(`fault ${i}`)));
    assert.equal(reasonOf(many).split(";").length, 4);
  });

  it("has the text of Node for a port without a listener", async () => {
    const error = await new Promise((resolve) => connect({ host: "localhost", port: 1 }).once("error", resolve));
    assert.match(reasonOf(error), /ECONNREFUSED.*127\.0\.0\.1:1/);
  });
});

describe("fileReasonOf", () => {
  it("explains the system's code, else has the reason", () => {
    const missing = fault("ENOENT: no such file or directory, open 'k.json'", { code: "ENOENT" });
    assert.equal(fileReasonOf(missing), "there is no such file or folder (ENOENT)");
    assert.equal(fileReasonOf(fault("EMFILE: too many open files", { code: "EMFILE" })), "EMFILE: too many open files");
    assert.equal(fileReasonOf("gone"), "gone");
  });
});
