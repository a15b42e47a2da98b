// Calls that are read from what other programs recorded.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { readCalls, type ReadOptions } from "../../src/simulate/readers/read.ts";
import type { TracedCall } from "../../src/simulate/traced-call.ts";

const source = (name: string) => {
  const path = new URL(`fixtures/${name}`, import.meta.url);
  return { name, text: readFileSync(path, "utf8") };
};
const read = (names: string[], options?: ReadOptions) => readCalls(names.map(source), options);
const readText = (value: unknown, options?: ReadOptions) =>
  readCalls([{ name: "spans.json", text: JSON.stringify(value, null, 2) }], options);

/** What the recorded conversation has in each format. */
const outline = (calls: readonly TracedCall[]) =>
  calls.map(({ call, hasFailed }) => [call.session, call.tool, call.args, hasFailed]);
const CONVERSATION = [
  ["chat-1", "search", { query: "Rome" }, false],
  ["chat-1", "book", { id: 7 }, true],
  ["chat-1", "search", { query: "Rome" }, false],
];

describe("calls are read from", () => {
  for (const [format, file, about] of [
    ["otlp", "ai-sdk-7.otlp.jsonl", { user: "u1", agent: "travel-agent", model: "mock-model" }],
    ["otlp", "ai-sdk-6.otlp.jsonl", { user: "u1", agent: "travel-agent", model: "mock-model" }],
    ["openai-agents", "openai-agents.jsonl", { user: "u1", agent: "travel-agent" }],
  ] as const) {
    it(`${file}, with turns, times and ends`, () => {
      const { format: found, calls, skipped } = read([file]);
      assert.deepEqual([found, skipped], [format, 0]);
      assert.deepEqual(outline(calls), CONVERSATION);
      const [first, second, third] = calls.map(({ call }) => call.turn);
      assert.ok(first === second && first !== third);
      for (const { call, atMs, durationMs } of calls) {
        const { user, agent, model } = call;
        assert.deepEqual({ user, agent, ...(model === undefined ? {} : { model }) }, about);
        assert.ok(atMs !== null && atMs > Date.UTC(2026, 10, 1) && durationMs >= 0 && durationMs < 1_000);
      }
      assert.notEqual(calls[0]?.result, undefined);
    });
  }

  it("session files of Claude Code, with sub-agents and without lines that come twice", () => {
    const { format, calls, skipped } = read([
      "claude-code/s1.jsonl",
      "claude-code/s1/subagents/agent-a1.jsonl",
      "claude-code/s2.jsonl",
    ]);
    assert.deepEqual([format, skipped], ["claude-code", 2]);
    const model = "claude-sonnet-4";
    assert.deepEqual(
      calls.map(({ call }) => call),
      [
        { session: "s1", turn: 1, tool: "search", model, toolCallId: "c1", args: { query: "Rome" } },
        { session: "s1", turn: 1, tool: "book", model, toolCallId: "c2", args: { id: 7 } },
        { session: "s1", turn: 2, tool: "search", model, toolCallId: "c3", args: { query: "Rome" } },
        { session: "s1", turn: 2, tool: "hotels", agent: "a1", model: "claude-haiku-4", toolCallId: "c4", args: {} },
      ],
    );
    assert.deepEqual(
      calls.map(({ durationMs, hasFailed, result }) => [durationMs, hasFailed, result]),
      [
        [2_000, false, "one flight"],
        [500, true, "sold out"],
        [0, null, undefined],
        [0, null, undefined],
      ],
    );
  });

  it("a document of spans over many lines, with attributes of any type", () => {
    const attribute = (key: string, value: object) => ({ key, value });
    const list = { arrayValue: { values: [{ intValue: "1" }, { boolValue: true }] } };
    const args = { kvlistValue: { values: [attribute("ids", list), attribute("rate", { doubleValue: 0.5 })] } };
    const span = {
      traceId: "t1",
      spanId: "s1",
      name: "execute_tool search",
      startTimeUnixNano: "1796058391147999999",
      endTimeUnixNano: 1796058391150000000,
      status: {},
      attributes: [
        attribute("gen_ai.operation.name", { stringValue: "execute_tool" }),
        attribute("gen_ai.tool.call.arguments", args),
        attribute("app.customer", { intValue: "42" }),
      ],
    };
    const resource = { attributes: [attribute("session.id", { stringValue: "of-resource" })] };
    const { calls } = readText(
      { resourceSpans: [{ resource, scopeSpans: [{ spans: [span, { name: "GET /" }] }] }] },
      { attributes: { tenant: "app.customer" } },
    );
    assert.deepEqual(calls, [
      {
        line: 1,
        call: { session: "of-resource", turn: "t1", tool: "search", tenant: "42", args: { ids: [1, true], rate: 0.5 } },
        atMs: 1_796_058_391_147,
        durationMs: 3,
        hasFailed: false,
        result: undefined,
        isOk: null,
      },
    ]);
  });

  it("what the exporter of OpenAI Agents sends at once", () => {
    const items = source("openai-agents.jsonl").text.trim().split("\n");
    const data = items.map((line) => JSON.parse(line) as unknown);
    assert.deepEqual(outline(readText({ data }).calls), CONVERSATION);
    assert.deepEqual(outline(readText(data).calls), CONVERSATION);
  });

  it("texts of any kind without failing on lines that are something else", () => {
    const lines = `not json\n${source("openai-agents.jsonl").text}{"object":"other"}\n`;
    const { calls, skipped } = readCalls([{ name: "mixed.jsonl", text: lines }]);
    assert.deepEqual([calls.length, skipped], [3, 2]);
    for (const value of [
      { resourceSpans: [null, {}, { scopeSpans: [{ spans: [null, 7] }] }] },
      { data: [{ object: "trace" }] },
    ]) {
      assert.throws(() => readText(value), { message: /^spans\.json: trace: expected calls of tools in the format / });
    }
  });

  it("a trace, in which every line must be right", () => {
    const text = '\uFEFF{"session":"s","turn":1,"tool":"x"}\n';
    assert.equal(readCalls([{ name: "t.jsonl", text }]).format, "trace");
    assert.throws(() => readCalls([{ name: "t.jsonl", text: `${text}{}` }]), { message: /^t\.jsonl:2: session: / });
    assert.throws(() => readCalls([{ name: "t.jsonl", text }], { format: "otlp" }), { message: /format otlp/ });
  });
});
