// Where the gateway listens, and how it stops.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { request as secureRequest } from "node:https";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { makeCertificates } from "../certificates.ts";
import { ask, httpGateway, json, modernCall, rawServer, serverOf, toolCall, until } from "./http-gateway.ts";

const { server: certificates } = makeCertificates({ server: "IP:127.0.0.1" });

describe("listening", { timeout: 60_000 }, () => {
  // Fails when the port is not said, when a port in use is another one, and when a token is kept with a connection.
  it("takes a free port, says which, and passes refreshed tokens", async (t) => {
    const { url: upstream, seen } = await rawServer(t, json({ content: [] }));
    const { url, origin } = await httpGateway(t, upstream);
    const port = Number(new URL(origin).port);
    assert.ok(port > 0);
    await assert.rejects(
      httpGateway(t, upstream, { port }),
      /listen\.host and port: expected an address to listen at.*EADDRINUSE/,
    );
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    for (const token of ["one", "two"]) {
      const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
      const answer = await new Promise<string>((resolve, reject) => {
        const asked = request(url, { method: "POST", agent, headers }, (answered) => resolve(text(answered)));
        asked.on("error", reject).end(toolCall(1));
      });
      assert.match(answer, /"content":\[\]/);
    }
    assert.deepEqual(
      seen.map(({ headers }) => headers.authorization),
      ["Bearer one", "Bearer two"],
    );
  });

  it("speaks TLS on both sides, and says where tokens come from", async (t) => {
    const { url: upstream } = await rawServer(t, json({ content: [] }));
    const [ca, cert, key] = [certificates.ca, certificates.certificate, certificates.key].map((path) =>
      readFileSync(path, "utf8"),
    );
    const issuer = "https://id.example";
    const jwt = { issuer, audience: "https://mcp.example", jwks: { url: new URL("http://127.0.0.1:9/jwks") } };
    const options = {
      tls: { cert: String(cert), key: String(key) },
      publicUrl: new URL("https://mcp.example"),
      auth: { config: { kind: "jwt" as const, jwt }, isOptional: false },
    };
    const { origin, url } = await httpGateway(t, upstream, options);
    assert.match(origin, /^https:/);
    const get = (path: string) =>
      new Promise<{ status: number | undefined; challenge: string | undefined; said: string }>((resolve, reject) => {
        const asked = secureRequest(path, { ca, agent: false }, async (answer) => {
          const challenge = answer.headers["www-authenticate"];
          resolve({ status: answer.statusCode, challenge, said: await text(answer) });
        });
        asked.on("error", reject).end();
      });
    const { status, challenge } = await get(url);
    const where = "/.well-known/oauth-protected-resource";
    assert.deepEqual([status, challenge], [401, `Bearer resource_metadata="https://mcp.example${where}"`]);
    for (const path of [where, `${where}/mcp/one`]) {
      assert.deepEqual(JSON.parse((await get(`${origin}${path}`)).said).authorization_servers, [issuer]);
    }
    // A client without TLS is answered by nothing that it could take for a server.
    await assert.rejects(ask(url.replace("https:", "http:"), toolCall(1)));
    const servers = [serverOf("one", url, { credentials: "none" })];
    const before = await httpGateway(t, servers);
    assert.match((await ask(before.url, toolCall(1))).text, /cannot be reached \([A-Z_]*(VERIFY|SELF_SIGNED)[A-Z_]*\)/);
    await assert.rejects(
      httpGateway(t, upstream, { tls: { cert: "no", key: "no" } }),
      /listen\.tls: expected a certificate/,
    );
  });

  it("answers bytes that are no request, and methods that mean nothing", async (t) => {
    const { url: upstream } = await rawServer(t, json({}));
    const { url, origin } = await httpGateway(t, upstream);
    const socket = connect(Number(new URL(origin).port), "127.0.0.1");
    socket.end("hello\r\n\r\n");
    assert.match(await text(socket), /^HTTP\/1\.1 400 .*"message":"This is no HTTP request\."/s);
    assert.equal((await ask(url, null, {}, "PUT")).status, 405);
    assert.equal((await ask(`${origin}/other`, null)).status, 404);
    assert.equal((await ask(`${origin}/mcp/two`, null)).status, 404);
  });

  it("lets calls end when it stops, ends streams, and takes no more", async (t) => {
    const held: (() => void)[] = [];
    const { url: upstream, seen } = await rawServer(t, (asked, response, body) => {
      if (asked.method === "POST") return held.push(() => json({ content: [] })(asked, response, body));
      response.writeHead(200, { "content-type": "text/event-stream" });
      return response.write(": here\n\n");
    });
    const { url, origin, close } = await httpGateway(t, upstream);
    const { body, headers } = modernCall(1);
    const call = ask(url, body, headers);
    const stream = ask(url, null);
    await until(() => seen.length === 2);
    // A request that has begun, and is whole when the gateway stops.
    const late = connect(Number(new URL(origin).port), "127.0.0.1");
    late.write("POST /mcp HTTP/1.1\r\nHost: localhost\r\n");
    assert.equal((await ask(`${origin}/healthz`, null)).status, 200);
    const closing = close();
    await stream;
    late.write("Content-Length: 0\r\n\r\n");
    assert.match(
      await text(late),
      /^HTTP\/1\.1 503 .*connection: close.*"code":-32000,"message":"The gateway is stopping/s,
    );
    for (const answer of held) answer();
    assert.equal((await call).status, 200);
    await closing;
    await assert.rejects(ask(url, body, headers), /ECONNREFUSED/);
  });

  it("ends what does not end by itself, and settles it", async (t) => {
    const { url: upstream, seen } = await rawServer(t, () => {});
    const { url, close, used } = await httpGateway(t, upstream, { drainMs: 0 });
    const call = ask(url, toolCall(1));
    await until(() => seen.length === 1);
    await Promise.all([assert.rejects(call, /socket hang up/), close()]);
    assert.deepEqual(await used(), { calls: 1, "at-once": 0 });
  });
});
