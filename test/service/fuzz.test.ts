// Requests by chance over every schema of the OpenAPI document: nothing fails that is not the request's fault, whatever is
// answered is as the document says, and nothing stays behind in memory. TOLLGATE_FUZZ_REQUESTS and TOLLGATE_FUZZ_SEED say more.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { after, describe, it } from "node:test";
import { Pool } from "undici";
import type { Schema } from "../../src/kernel/policy/schema-kinds.ts";
import { seededRandom } from "../../bench/calls.ts";
import { problemSchema } from "../../src/http/answers.ts";
import { openApiDocument } from "../../scripts/openapi-document.ts";
import { ROUTES } from "../../src/service/routes.ts";
import { cases } from "../length.ts";
import { type Document, type FuzzRequest, Requests } from "./fuzz-requests.ts";
import { isExactly } from "./served.ts";

const COUNT = Number(process.env.TOLLGATE_FUZZ_REQUESTS ?? cases(800, 4_000));
const SEED = Number(process.env.TOLLGATE_FUZZ_SEED ?? 20_251);
/** How much larger the heap may be after the last quarter than after the second one. */
const MAX_GROWTH_BYTES = 3_000_000;
const IN_FLIGHT = 32;

const child = fork(new URL("fuzz-worker.ts", import.meta.url), [], {
  execArgv: [...process.execArgv.filter((each) => !each.startsWith("--test")), "--expose-gc"],
});
after(() => child.kill());
child.once("exit", (code) => assert.equal(code, null, "the service has ended"));
const [{ port }] = (await once(child, "message")) as [{ port: number }];
const pool = new Pool(`http://127.0.0.1:${port}`, { connections: IN_FLIGHT });
after(() => pool.destroy());
const document = JSON.parse(JSON.stringify(openApiDocument(ROUTES))) as Document;

async function heapBytes(): Promise<number> {
  child.send("heap");
  const [answer] = (await once(child, "message")) as [{ heapBytes: number }];
  return answer.heapBytes;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** What was answered; `null` where the client itself refuses to send such a thing. */
async function send({ method, path, headers, body }: FuzzRequest): Promise<Answer | null> {
  try {
    const answer = await pool.request({
      method: method as "GET",
      path,
      headers,
      ...(body === undefined ? {} : { body }),
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, type: String(answer.headers["content-type"] ?? ""), text };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "UND_ERR_INVALID_ARG") return null;
    // A body that is refused before it has come may end with its connection.
    if (body !== undefined && body.length > 60_000) return null;
    throw new Error(`${method} ${path.slice(0, 100)} ${JSON.stringify(headers)}: ${error}`, { cause: error });
  }
}

function check(request: FuzzRequest, { status, type, text }: Answer): void {
  const said = `${request.method} ${request.path.slice(0, 200)} ${String(request.body).slice(0, 500)} -> ${status} ${text.slice(0, 500)}`;
  assert.ok(status < 500, said);
  if (request.method === "HEAD" || status === 204 || status === 304) return;
  if (status >= 400) {
    assert.equal(type, "application/problem+json", said);
    const problem = JSON.parse(text);
    assert.ok(isExactly(problemSchema, problem) && problem.status === status, said);
    return;
  }
  const path = request.path.replace(/\?.*/s, "");
  const route = ROUTES.find((each) => each.path === path && each.method === request.method);
  if (route === undefined || typeof route.response === "string") return;
  assert.ok(isExactly(route.response as Schema, JSON.parse(text)), said);
}

describe(`${COUNT} requests by chance`, () => {
  it("get correct answers, and leave nothing behind", { timeout: 600_000 }, async () => {
    const requests = new Requests(document, SEED);
    const heaps: number[] = [];
    const fine = new Map<string, number>();
    let [valid, sent] = [0, 0];
    for (let quarter = 0; quarter < 4; quarter++) {
      let left = Math.ceil(COUNT / 4);
      const lane = async () => {
        while (left-- > 0) {
          const request = requests.next();
          const answer = await send(request);
          if (answer === null) continue;
          sent++;
          check(request, answer);
          if (!request.isValid) continue;
          valid++;
          const key = `${request.method} ${request.path.replace(/\?.*/s, "")}`;
          if (answer.status < 300) fine.set(key, (fine.get(key) ?? 0) + 1);
        }
      };
      await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
      heaps.push(await heapBytes());
    }
    assert.equal(child.exitCode, null);
    assert.ok(sent > COUNT * 0.95, `${sent} of ${COUNT} were sent`);
    // The fuzzer comes to where things are done: of what fits the document most is done, on every route.
    const done = [...fine.values()].reduce((sum, each) => sum + each, 0);
    assert.ok(done > valid / 2, `${done} of ${valid}`);
    for (const { method, path } of ROUTES.filter((route) => route.path !== "/v1/events")) {
      assert.ok(
        (fine.get(`${method} ${path}`) ?? 0) > 0,
        `${method} ${path} was never done: ${JSON.stringify([...fine])}`,
      );
    }
    const [, second = 0, , last = 0] = heaps;
    assert.ok(last - second < MAX_GROWTH_BYTES, `heap after each quarter: ${heaps.join(", ")}`);
    console.log(
      `${sent} sent, ${done} of ${valid} valid ones done, heap ${heaps.map((each) => `${Math.round(each / 1e5) / 10} MB`).join(", ")}`,
    );
  });

  it("also as bytes that are no requests, do not end the service", async () => {
    const chance = seededRandom(SEED);
    const byte = () => Math.floor(chance() * 256);
    for (let i = 0; i < Math.max(50, COUNT / 200); i++) {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      const head = chance() < 0.5 ? "POST /v1/consume HTTP/1.1\r\nhost: localhost\r\n" : "";
      socket.write(Buffer.concat([Buffer.from(head), Buffer.from(Array.from({ length: byte() + 1 }, byte))]));
      socket.end("\r\n\r\n");
      socket.resume();
      await once(socket, "close");
    }
    const answer = await pool.request({ method: "GET", path: "/healthz" });
    assert.deepEqual(await answer.body.json(), { status: "up" });
  });
});
