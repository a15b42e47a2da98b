import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { arrayOf, executed, inlined, prepared, statement } from "./statement.ts";

const select = statement("select", "SELECT $1::text, $12::text, $1::text::text[]");
const values = Array.from({ length: 12 }, (_, i) => `v${i + 1}`);

describe("a statement", () => {
  it("has a name that says what it is, and is another one for another text", () => {
    assert.match(select.name, /^tollgate_select_[0-9a-f]{32}$/);
    assert.notEqual(select.name, statement("select", "SELECT 2").name);
    assert.ok(select.name.length < 64, "Postgres cuts longer names");
  });

  it("is prepared, executed, or sent with its parameters in their places", () => {
    assert.equal(prepared(select), `PREPARE ${select.name} AS ${select.text}`);
    assert.equal(executed({ statement: select, values: ["a", "b"] }), `EXECUTE ${select.name}(E'a', E'b')`);
    assert.equal(inlined({ statement: select, values }), "SELECT E'v1'::text, E'v12'::text, E'v1'::text::text[]");
  });

  it("has parameters that cannot end early, whatever they hold", () => {
    const sent = (text: string) =>
      executed({ statement: select, values: [text] }).slice(`EXECUTE ${select.name}`.length);
    assert.equal(sent("it's"), "(E'it''s')");
    assert.equal(sent("\\'; DROP"), "(E'\\\\''; DROP')");
    assert.equal(sent("$1::text $& $'"), "(E'$1::text $& $''')");
    for (const text of ["é", "a\nb", "\0", "\ud800", "¥'"]) {
      assert.match(sent(text), /^\(convert_from\(decode\('[A-Za-z0-9+/=]+', 'base64'\), 'UTF8'\)\)$/);
    }
  });

  it("has arrays of any texts", () => {
    assert.equal(arrayOf([]), "{}");
    assert.equal(arrayOf(["a", "", 'b"c', "d\\e", "{f,g}", "NULL"]), '{"a","","b\\"c","d\\\\e","{f,g}","NULL"}');
  });
});
