// The pages in docs/migrations: the program before the change and the one after it print what the page says, both of them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { globSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { Redis } from "ioredis";
import { anyRedis } from "./servers.ts";
import { LOADER, ROOT } from "./sources.ts";

const { url } = await anyRedis();
// In the repository, so that its packages are found, and as a package that has Tollgate installed.
const folder = join(ROOT, "node_modules", ".tollgate-migrations");
after(() => rmSync(folder, { recursive: true, force: true }));

/** Upstash's REST API over a Redis: one command, or a pipeline of them. The flag in its scripts is one that only Upstash knows. */
function restOver(redis: Redis): Server {
  const run = async ([command = "", ...args]: string[]) => {
    try {
      const known = args.map((arg) => String(arg).replace(/^#!lua flags=allow-key-locking\n/, "\n"));
      return { result: await redis.call(command, ...known) };
    } catch (error) {
      return { error: (error as Error).message };
    }
  };
  return createServer(async (request, response) => {
    const body = JSON.parse(await text(request));
    const answer = request.url === "/pipeline" ? await Promise.all(body.map(run)) : await run(body);
    response.writeHead("error" in answer ? 400 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(answer));
  });
}

/** A program after a change. Lines that the change does not show stay. */
function changed(program: string, change: string): string {
  const left = program.split("\n");
  const made: string[] = [];
  for (const line of change.split("\n")) {
    const words = line.slice(1);
    if (line.startsWith("+")) {
      made.push(words);
      continue;
    }
    const at = left.indexOf(words);
    assert.ok(at >= 0, `the program before the change has no line "${words}"`);
    made.push(...left.splice(0, at));
    left.shift();
    if (!line.startsWith("-")) made.push(words);
  }
  return [...made, ...left].join("\n");
}

async function printed(program: string, name: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  writeFileSync(join(folder, name), program);
  const args = ["--conditions=tollgate-source", LOADER, "--no-warnings", name];
  const run = spawn(process.execPath, args, { cwd: folder, env: { ...process.env, ...env } });
  const [output, errors, [status]] = await Promise.all([text(run.stdout), text(run.stderr), once(run, "exit")]);
  assert.equal(status, 0, errors);
  return output.trim().split("\n");
}

describe("a migration", () => {
  const redis = new Redis(url);
  const rest = restOver(redis);
  before(async () => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(join(folder, "node_modules"), { recursive: true });
    symlinkSync(join(ROOT, "."), join(folder, "node_modules", "tollgate"));
    await once(rest.listen(0, "127.0.0.1"), "listening");
  });
  after(async () => {
    rest.close();
    await redis.quit();
  });

  for (const path of globSync("docs/migrations/*.md", { cwd: ROOT }).sort()) {
    const name = basename(path, ".md");
    it(`${name}: prints the same before and after the change`, async () => {
      const page = readFileSync(ROOT + path, "utf8");
      const program = /```js\n([\s\S]*?)\n```/.exec(page)?.[1] ?? assert.fail("no program");
      const change = /```diff\n([\s\S]*?)\n```/.exec(page)?.[1] ?? assert.fail("no change");
      const says = [...program.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, line]) => line);
      assert.ok(says.length > 0);
      const env = {
        REDIS_URL: url,
        UPSTASH_REDIS_REST_URL: `http://127.0.0.1:${(rest.address() as AddressInfo).port}`,
        UPSTASH_REDIS_REST_TOKEN: "none",
        UPSTASH_DISABLE_TELEMETRY: "1",
      };
      assert.deepEqual(await printed(program, `${name}-before.mjs`, env), says);
      assert.deepEqual(await printed(changed(program, change), `${name}-after.mjs`, env), says);
    });
  }
});
