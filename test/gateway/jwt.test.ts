// Tokens of clients: what is believed of them, by the keys of a real server.

import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { MisuseError } from "tollgate";
import { fakeClock } from "tollgate/testing";
import type { HttpConfig } from "../../src/gateway/config/config.ts";
import { createAuthenticator } from "../../src/gateway/identity/authenticator.ts";
import { temporaryFolder } from "../temporary.ts";

const ISSUER = "https://id.example.com";
const AUDIENCE = "https://mcp.example.com";
const NOW_S = Date.UTC(2030, 0, 1) / 1_000;

interface Signer {
  readonly alg: string;
  readonly kid: string;
  readonly publicKey: KeyObject;
  readonly sign: (data: Buffer) => Buffer;
}

const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ed = generateKeyPairSync("ed25519");
const ed2 = generateKeyPairSync("ed25519");
const edSigner = (kid: string, pair: typeof ed): Signer => ({
  alg: "EdDSA",
  kid,
  publicKey: pair.publicKey,
  sign: (data) => sign(null, data, pair.privateKey),
});
const SIGNERS = {
  RS256: { alg: "RS256", kid: "rsa", publicKey: rsa.publicKey, sign: (data) => sign("sha256", data, rsa.privateKey) },
  PS256: {
    alg: "PS256",
    kid: "rsa",
    publicKey: rsa.publicKey,
    sign: (data) => sign("sha256", data, { key: rsa.privateKey, padding: 6, saltLength: 32 }),
  },
  ES256: {
    alg: "ES256",
    kid: "ec",
    publicKey: ec.publicKey,
    sign: (data) => sign("sha256", data, { key: ec.privateKey, dsaEncoding: "ieee-p1363" }),
  },
  EdDSA: edSigner("ed", ed),
} satisfies Record<string, Signer>;

const CLAIMS = { iss: ISSUER, aud: AUDIENCE, sub: "alice", exp: NOW_S + 300, org_id: "acme" };
const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

function tokenOf(claims: object = {}, header: object = {}, signer: Signer = SIGNERS.EdDSA): string {
  const signed = `${encoded({ alg: signer.alg, kid: signer.kid, ...header })}.${encoded({ ...CLAIMS, ...claims })}`;
  return `${signed}.${signer.sign(Buffer.from(signed)).toString("base64url")}`;
}

/** What the issuer's address answers, and how often it was asked. */
const issuer = { keys: [] as object[], status: 200, asked: 0, body: null as string | null };
const server = createServer((_, response) => {
  issuer.asked++;
  const location = issuer.status === 302 ? { location: "/other" } : {};
  response.writeHead(issuer.status, location).end(issuer.body ?? JSON.stringify({ keys: issuer.keys }));
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
after(() => {
  server.closeAllConnections();
  server.close();
});
const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`);

const jwkOf = (signer: Signer, more: object = {}) => ({
  ...signer.publicKey.export({ format: "jwk" }),
  kid: signer.kid,
  ...more,
});
const ALL = [SIGNERS.RS256, SIGNERS.ES256, SIGNERS.EdDSA].map((signer) => jwkOf(signer));

function authenticatorFor(
  keys: readonly object[] = ALL,
  isOptional = false,
  jwks: { url: URL } | { file: string } = { url },
) {
  Object.assign(issuer, { keys, status: 200, asked: 0, body: null });
  const clock = fakeClock(NOW_S * 1_000);
  const auth: HttpConfig["auth"] = {
    isOptional,
    config: { kind: "jwt", jwt: { issuer: ISSUER, audience: AUDIENCE, jwks } },
  };
  const logged: string[] = [];
  const log = (fields: object, message: string) => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const authenticator = createAuthenticator(
    auth,
    new URL("https://mcp.example.com/"),
    { warn: log, error: log },
    clock,
  );
  /** The user that a token proves, or the status of the answer. */
  const userOf = async (token: string | null) => {
    const found = await authenticator.check(token === null ? {} : { authorization: `Bearer ${token}` });
    return "status" in found ? found.status : found.user;
  };
  return { authenticator, clock, logged, userOf };
}

describe("a token", () => {
  for (const [algorithm, signer] of Object.entries(SIGNERS)) {
    it(`proves its subject by ${algorithm}`, async () => {
      const { authenticator, userOf } = authenticatorFor();
      const token = tokenOf({}, {}, signer);
      const found = await authenticator.check({ authorization: `bearer ${token}` });
      assert.deepEqual(found, { user: "alice", tenant: null, claims: CLAIMS });
      const [head, body, tail = ""] = token.split(".");
      const flipped = `${tail.startsWith("A") ? "B" : "A"}${tail.slice(1)}`;
      assert.equal(await userOf(`${head}.${body}.${flipped}`), 401);
      assert.equal(await userOf(`${head}.${encoded({ ...CLAIMS, sub: "bob" })}.${tail}`), 401);
    });
  }

  it("proves nothing with another algorithm, key, issuer, audience or time, and without a subject", async () => {
    const { userOf } = authenticatorFor();
    const none = `${encoded({ alg: "none" })}.${encoded(CLAIMS)}.`;
    const hmac = { ...SIGNERS.EdDSA, alg: "HS256" };
    const wrong: Record<string, string> = {
      none,
      "none with a signature": `${none}AA`,
      HS256: tokenOf({}, {}, hmac),
      "RS256 by another kind of key": tokenOf({}, { alg: "RS256", kid: "ed" }),
      "a key of another issuer": tokenOf({}, {}, edSigner("ed", ed2)),
      crit: tokenOf({}, { crit: ["b64"], b64: false }),
      "a kid that is no text": tokenOf({}, { kid: 5 }),
      "another issuer": tokenOf({ iss: `${ISSUER}/` }),
      "another audience": tokenOf({ aud: ["https://other.example.com"] }),
      "no audience": tokenOf({ aud: undefined }),
      expired: tokenOf({ exp: NOW_S - 61 }),
      "no exp": tokenOf({ exp: undefined }),
      "exp as text": tokenOf({ exp: String(NOW_S + 100) }),
      "not yet": tokenOf({ nbf: NOW_S + 61 }),
      "no subject": tokenOf({ sub: "" }),
      "a subject that is too long": tokenOf({ sub: "x".repeat(257) }),
      "a subject that is a number": tokenOf({ sub: 5 }),
      "too long": tokenOf({ more: "x".repeat(16_384) }),
      "no token": "abc",
      "a list": `${encoded([])}.${encoded([])}.AA`,
      "no JSON": "AAAA.AAAA.AAAA",
    };
    for (const [name, token] of Object.entries(wrong)) assert.equal(await userOf(token), 401, name);
    const right = [{}, { aud: ["a", AUDIENCE] }, { exp: NOW_S - 59 }, { nbf: NOW_S + 59 }, { sub: "x".repeat(256) }];
    for (const claims of right) assert.notEqual(await userOf(tokenOf(claims)), 401, JSON.stringify(claims));
  });

  it("is refused with a challenge, and is optional only where it is absent", async () => {
    const { authenticator } = authenticatorFor();
    const where = 'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource"';
    const missing = await authenticator.check({});
    const wrong = await authenticator.check({ authorization: "Bearer x" });
    assert.ok("status" in missing && "status" in wrong);
    assert.equal(missing.headers["www-authenticate"], `Bearer ${where}`);
    assert.equal(wrong.headers["www-authenticate"], `Bearer error="invalid_token", ${where}`);
    assert.equal(JSON.parse(String(wrong.body)).error.data.source, "tollgate");
    assert.deepEqual([...authenticator.ownHeaders], ["authorization"]);
    assert.deepEqual(JSON.parse(String(authenticator.metadata?.body)), {
      resource: AUDIENCE,
      authorization_servers: [ISSUER],
      bearer_methods_supported: ["header"],
    });
    const { userOf } = authenticatorFor(ALL, true);
    assert.deepEqual([await userOf(null), await userOf("x"), await userOf(tokenOf())], [null, 401, "alice"]);
  });

  it("is verified once in a minute, and no longer than it is good", async () => {
    const { userOf, clock } = authenticatorFor();
    const token = tokenOf({ exp: NOW_S - 30 });
    assert.equal(await userOf(token), "alice");
    clock.advance(29_999);
    assert.equal(await userOf(token), "alice");
    clock.advance(1);
    assert.equal(await userOf(token), 401);
  });
});

describe("the keys of an issuer", () => {
  it("are read again for an unknown key, at most once a minute", async () => {
    const { userOf, clock } = authenticatorFor([jwkOf(SIGNERS.EdDSA)]);
    const next = edSigner("ed2", ed2);
    const rotated = tokenOf({}, {}, next);
    assert.deepEqual([await userOf(tokenOf()), await userOf(rotated), issuer.asked], ["alice", 401, 1]);
    issuer.keys = [jwkOf(SIGNERS.EdDSA), jwkOf(next)];
    clock.advance(59_999);
    assert.deepEqual([await userOf(rotated), issuer.asked], [401, 1]);
    clock.advance(1);
    const users = await Promise.all([userOf(rotated), userOf(rotated), userOf(tokenOf({ n: 1 }))]);
    assert.deepEqual([users, issuer.asked], [["alice", "alice", "alice"], 2]);
    // The old key is withdrawn.
    issuer.keys = [jwkOf(next)];
    clock.advance(60_000);
    assert.equal(await userOf(tokenOf({}, { kid: "unknown" })), 401);
    assert.equal(await userOf(tokenOf({ n: 2, exp: NOW_S + 999 })), 401);
  });

  it("are good for a day while they cannot be read", async () => {
    const { userOf, clock, logged } = authenticatorFor();
    const exp = NOW_S + 200_000;
    assert.equal(await userOf(tokenOf({ exp })), "alice");
    for (const [status, body] of [
      [500, null],
      [302, null],
      [200, "no JSON"],
      [200, '{"keys":5}'],
      [200, "x".repeat(1_048_577)],
    ] as const) {
      Object.assign(issuer, { status, body });
      clock.advance(600_000);
      assert.equal(await userOf(tokenOf({ exp, n: status })), "alice");
      assert.equal(await userOf(tokenOf({ exp }, { kid: "unknown" })), 401);
    }
    assert.equal(logged.length, 5);
    issuer.status = 500;
    clock.advance(86_400_000 - 3_000_000);
    assert.equal(await userOf(tokenOf({ exp, n: 9 })), "alice");
    clock.advance(60_001);
    assert.equal(await userOf(tokenOf({ exp, n: 10 })), 401);
    Object.assign(issuer, { status: 200, body: null });
    clock.advance(60_000);
    assert.equal(await userOf(tokenOf({ exp, n: 11 })), "alice");
  });

  it("are chosen by kid, use and algorithm, and without a kid where one alone suits", async () => {
    const without = tokenOf({}, { kid: undefined });
    const cases: readonly [keys: readonly object[], token: string, found: string | number][] = [
      [ALL, without, "alice"],
      [[...ALL, jwkOf(edSigner("other", ed2))], without, 401],
      [[jwkOf(SIGNERS.EdDSA, { use: "enc" })], tokenOf(), 401],
      [[jwkOf(SIGNERS.RS256, { alg: "RS256" })], tokenOf({}, {}, SIGNERS.PS256), 401],
      [[{ kty: "oct", k: "AAAA", kid: "ed" }, null as never, { kty: "?" }, jwkOf(SIGNERS.EdDSA)], tokenOf(), "alice"],
    ];
    for (const [keys, token, found] of cases) assert.equal(await authenticatorFor(keys).userOf(token), found);
    const small = generateKeyPairSync("rsa", { modulusLength: 1_024 });
    const signer: Signer = {
      ...SIGNERS.RS256,
      publicKey: small.publicKey,
      sign: (data) => sign("sha256", data, small.privateKey),
    };
    assert.equal(await authenticatorFor([jwkOf(signer)]).userOf(tokenOf({}, {}, signer)), 401);
  });

  it("come from a file, or from https", async () => {
    const file = join(temporaryFolder(), "jwks.json");
    writeFileSync(file, JSON.stringify({ keys: ALL }));
    assert.equal(await authenticatorFor(ALL, false, { file }).userOf(tokenOf()), "alice");
    assert.equal(await authenticatorFor(ALL, false, { file: `${file}.missing` }).userOf(tokenOf()), 401);
    for (const address of ["http://id.example.com/jwks", "ftp://127.0.0.1/jwks"]) {
      assert.throws(() => authenticatorFor(ALL, false, { url: new URL(address) }), MisuseError);
    }
  });
});
