// What two instances of `tollgate serve` and the commands do with a log that they share on a server, as cases for each kind of server.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { runHere } from "../e2e/here.ts";
import { start, until } from "../e2e/tollgate.ts";
import { temporaryFolder } from "../temporary.ts";

export interface LogServer {
  /** With a password, which must not be shown. */
  readonly url: string;
  /** The URL as it may be shown. */
  readonly label: string;
  kill(): Promise<void>;
  start(): Promise<void>;
}

export const PASSWORD = "p4ssw0rd";

const endings: (() => unknown)[] = [];
after(() => {
  for (const end of endings) end();
});
const folder = temporaryFolder();

async function serve(...args: string[]) {
  const { child, ran } = start(["serve", "--port", "0", "--no-console", ...args], temporaryFolder());
  endings.push(() => child.kill("SIGKILL"));
  const text = { out: "", log: "" };
  child.stdout?.on("data", (part) => {
    text.out += part;
  });
  child.stderr?.on("data", (part) => {
    text.log += part;
  });
  const url = await until(() => /listens at (\S+).* log .*\n/s.exec(text.out)?.[1] ?? false);
  const consume = async (session: string) => {
    const body = JSON.stringify({ call: { tool: "x", session, turn: 1 } });
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/v1/consume`, { method: "POST", headers, body });
    return (await response.json()) as { allowed: boolean };
  };
  return { url, consume, text, child, ran };
}

/** What a command prints as soon as that is what is waited for. */
async function readUntil(args: readonly string[], isSaid: (text: string) => boolean): Promise<string> {
  const endsAtMs = performance.now() + 20_000;
  for (;;) {
    const { stdout, stderr } = await runHere(args, folder, {});
    if (isSaid(stdout)) return stdout;
    assert.ok(performance.now() < endsAtMs, stdout + stderr);
  }
}

/**
 * @param server where no log is yet
 * @param noLog what is missing there, as it is said
 */
export function testSharedLog(
  name: string,
  { url: log, label, kill, start: startAgain }: LogServer,
  noLog: string,
): void {
  describe(`a decision log in ${name}`, () => {
    it("has what two instances decide, also when one was killed, and while it was away", async () => {
      const read = async (...args: string[]) => {
        const { status, stdout, stderr } = await runHere([...args, "--log", log], folder, {});
        assert.deepEqual([status, stderr], [0, ""], args.join(" "));
        return stdout;
      };
      const missing = await runHere(["top", "--log", log], folder, {});
      assert.equal(missing.status, 2);
      assert.match(missing.stderr, /--log: expected a decision log that exists: /);
      assert.ok(missing.stderr.includes(noLog), missing.stderr);

      await kill();
      const [one, two] = await Promise.all([1, 2].map(() => serve("--store", "memory:", "--log", log)));
      assert.ok(one !== undefined && two !== undefined);
      assert.ok(one.text.out.includes(` log     ${label}: what all instances decide that write to it\n`), one.text.out);
      assert.equal((await one.consume("of-one")).allowed, true);
      await until(() => one.text.log.includes(`the decision log ${label} cannot be written yet: calls are decided`));
      const away = await runHere(["tail", "--no-follow", "--log", log], folder, {});
      assert.equal(away.status, 3);
      assert.ok(away.stderr.startsWith(`tollgate: ${label}: ${name}`), away.stderr);
      await startAgain();

      await two.consume("of-two");
      const tail = ["tail", "--no-follow", "--json", "--log", log];
      const lines = await readUntil(tail, (text) => /of-one/.test(text) && /of-two/.test(text));
      const entries = lines.trim().split("\n");
      assert.equal(new Set(entries.map((line) => JSON.parse(line).instance)).size, 2);
      one.child.kill("SIGKILL");
      await two.consume("of-two");
      const isCounted = (text: string) => /^of-two,2,/m.test(text) && /^of-one,1,/m.test(text);
      await readUntil(["top", "--by", "session", "--csv", "--log", log], isCounted);
      assert.match(await read("sessions", "--csv"), /^of-one,/m);
      assert.match(await read("near"), /^No bucket/);
      assert.match(await read("explain", "--session", "of-one"), /^Allowed: a call of x by .*session of-one/);
      const page = await (await fetch(`${two.url}/v1/decisions?session=of-one`)).text();
      assert.equal(JSON.parse(page).items?.length, 1, page);
      two.child.kill("SIGTERM");
      assert.equal((await two.ran).status, 0);

      const simulated = await runHere(["simulate", log, "--json"], folder, {});
      assert.equal(simulated.status, 0);
      assert.match(simulated.stderr, /^Read 3 calls of the decision log\.\n/);
      assert.equal(JSON.parse(simulated.stdout).trace, label);
      const printed = [one, two].flatMap(({ text }) => [text.out, text.log]);
      for (const text of [...printed, simulated.stdout, missing.stderr, away.stderr]) {
        assert.ok(!text.includes(PASSWORD), text);
      }
    });

    it("is refused where its URL is none", async () => {
      const { status, stderr } = await runHere(["top", "--log", log.replace("://", "x://")], folder, {});
      assert.equal(status, 2);
      assert.match(stderr, /--log: expected sqlite:PATH.*, got "\w+x:…@/);
    });
  });
}
