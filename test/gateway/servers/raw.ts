// A server over stdio without an SDK, which does what the methods of its requests say: also what no server should do.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Ignores SIGTERM, and needs no input. */
const STUBBORN = 'trap "" TERM; while :; do sleep 5; done';

const seen: string[] = [];
const say = (text: string) => process.stdout.write(`${text}\n`);

/** Odd on purpose: a server may write JSON as it likes. */
const odd = (id: string) =>
  `{ "result":{"structuredContent":{"n":1.0,"big":9007199254740993,"2":[ ],"1":"\\u00e9\u00e9"},"_meta":{"x/y":{}},` +
  `"content":[],"tools":[{"name":"t","outputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}],` +
  `"new in 2027":null},"id":${id},"jsonrpc":"2.0"}`;

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  seen.push(line);
  const { method, params } = JSON.parse(line);
  const id = /"id"\s*:\s*("(?:[^"\\]|\\.)*"|[\d.-]+)/.exec(line)?.[1];
  if (id === undefined || method === undefined) return;
  const answer = (result: unknown) => say(`{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify(result)}}`);
  const tool = method === "tools/call" ? params.name : method;
  if (tool === "odd") say(odd(id));
  else if (tool === "silent") return;
  else if (tool === "elicit") {
    say(`{"jsonrpc":"2.0","id":"s-1","method":"elicitation/create","params":{"for":${id}, "n":1.0}}`);
  } else if (tool === "seen") answer(seen);
  else if (tool === "environment") answer(process.env);
  else if (tool === "garbage") {
    for (let n = 0; n < params.lines; n++) say(`loading ${n} \u0007`);
    answer({});
  } else if (tool === "long") say("x".repeat(params.bytes));
  else if (tool === "flood") {
    for (let n = 0; n < params.lines; n++) say(`{"method":"notifications/message","params":{"data":"${n}"}}`);
    answer({});
  } else if (tool === "exit") process.exit(params.code);
  else if (tool === "die") process.kill(process.pid, "SIGKILL");
  else if (tool === "deaf") {
    answer({});
    input.pause();
    setInterval(() => {}, 1_000);
  } else if (tool === "stubborn") {
    process.on("SIGTERM", () => {});
    setInterval(() => {}, 1_000);
    const child = spawn("/bin/sh", ["-c", STUBBORN], { stdio: "ignore" });
    answer([process.pid, child.pid]);
  } else answer({ pid: process.pid, content: [] });
});
