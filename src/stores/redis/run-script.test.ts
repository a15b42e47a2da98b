import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StoreError } from "../../store/error.ts";
import { runScript, scriptOf } from "./run-script.ts";
import { SCRIPTS, TIMES } from "./script.gen.ts";

/** A server that knows a script once it was sent its text. */
function server(isKnown: boolean) {
  const sent: string[] = [];
  const send = async (_: unknown, command: string, script: string | number) => {
    sent.push(command === "EVAL" ? String(script) : command);
    if (command === "EVALSHA" && !isKnown) throw new Error("NOSCRIPT No matching script.");
    return "answer";
  };
  return { sent, send };
}

describe("a script of the Redis store", () => {
  const broken = () => Promise.reject(new Error("Cannot find module script.gen.js"));

  it("is sent by its digest to a server that knows it, and its text is not loaded", async () => {
    const { sent, send } = server(true);
    assert.equal(
      await runScript(scriptOf("apply", undefined, broken), { send, wait: (work) => work() }, [0], async () => {}),
      "answer",
    );
    assert.deepEqual(sent, ["EVALSHA"]);
  });

  it("is sent as text to a server that does not know it", async () => {
    const { sent, send } = server(false);
    assert.equal(
      await runScript(scriptOf("beat", undefined), { send, wait: (work) => work() }, [0], async () => {}),
      "answer",
    );
    assert.deepEqual(sent, ["EVALSHA", TIMES.server + SCRIPTS.beat]);
  });

  it("whose text cannot be loaded fails as the store does when it is unreachable", async () => {
    const { sent, send } = server(false);
    await assert.rejects(
      runScript(scriptOf("apply", undefined, broken), { send, wait: (work) => work() }, [0], async () => {}),
      (error) => {
        assert.ok(StoreError.isInstance(error));
        const { code, transient, message } = error;
        assert.deepEqual([code, transient], ["unavailable", true]);
        assert.match(message, /^Redis: the store.s scripts cannot be loaded: Cannot find module .*all files of/);
        return true;
      },
    );
    assert.deepEqual(sent, ["EVALSHA"]);
  });
});
