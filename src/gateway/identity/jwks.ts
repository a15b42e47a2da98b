// The public keys of an issuer (RFC 7517), from its address or a file. They are read again when a key is unknown, at most once a
// minute, and when they are ten minutes old. While they cannot be read, the old ones are good for a day.

import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { promises } from "node:fs";
import { type Clock, monotonicClock, setTimer, systemClock } from "../../clock.ts";
import { formatGot, MisuseError } from "../../kernel/errors.ts";
import type { GatewayLog, JwtConfig } from "../config/config.ts";
import { type JwtAlgorithm, type ParsedJwt, suits } from "./jwt.ts";

const READ_AGAIN_MS = 60_000;
const REFRESH_MS = 600_000;
const GOOD_FOR_MS = 86_400_000;
const DEADLINE_MS = 5_000;
const MOST_BYTES = 1_048_576;
const MOST_KEYS = 100;
const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

interface Key {
  readonly id: string | null;
  readonly algorithm: unknown;
  readonly key: KeyObject;
}

export class Jwks {
  readonly #source: JwtConfig["jwks"];
  readonly #log: GatewayLog;
  readonly #clock: Clock;
  #keys: readonly Key[] = [];
  #readAtMs = Number.NEGATIVE_INFINITY;
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | null = null;

  /** @throws MisuseError `invalid-option` for an address that is neither https nor of this machine */
  constructor(source: JwtConfig["jwks"], log: GatewayLog, clock: Clock = monotonicClock) {
    if ("url" in source) checkAddress(source.url);
    this.#source = source;
    this.#log = log;
    this.#clock = clock;
  }

  /** The key that has signed a token, by what the token says; `null`: it is not known, or not one alone. */
  async find({ keyId, algorithm }: Pick<ParsedJwt, "keyId" | "algorithm">): Promise<KeyObject | null> {
    const known = this.#find(keyId, algorithm);
    const nowMs = this.#clock.nowMs();
    const mayRead = nowMs - this.#triedAtMs >= READ_AGAIN_MS;
    if (known === null && mayRead) await this.#read();
    // A key that is known does not wait.
    else if (known === null) await this.#reading;
    else if (mayRead && nowMs - this.#readAtMs >= REFRESH_MS) void this.#read();
    return known ?? this.#find(keyId, algorithm);
  }

  #find(keyId: string | null, algorithm: JwtAlgorithm): KeyObject | null {
    if (this.#clock.nowMs() - this.#readAtMs > GOOD_FOR_MS) return null;
    const suitable = this.#keys.filter(
      (each) =>
        (keyId === null || each.id === keyId) &&
        (each.algorithm === undefined || each.algorithm === algorithm) &&
        suits(each.key, algorithm),
    );
    return suitable.length === 1 ? (suitable[0]?.key ?? null) : null;
  }

  #read(): Promise<void> {
    this.#triedAtMs = this.#clock.nowMs();
    this.#reading ??= this.#readNow().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #readNow(): Promise<void> {
    try {
      const text = "url" in this.#source ? await fetched(this.#source.url) : await readFile(this.#source.file);
      this.#keys = keysIn(text);
      this.#readAtMs = this.#clock.nowMs();
    } catch (error) {
      const { name, message } = error instanceof Error ? error : new Error(formatGot(error));
      this.#log.error(
        { error: `${name}: ${message}` },
        "the keys of the issuer cannot be read; the old ones are used for a day",
      );
    }
  }
}

function checkAddress(url: URL): void {
  if (url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.has(url.hostname))) return;
  const expected = "an https address, or an http one of this machine";
  throw new MisuseError("invalid-option", {
    path: "auth.jwt.jwks",
    expected,
    got: formatGot(`${url.protocol}//${url.host}`),
  });
}

async function fetched(url: URL): Promise<string> {
  const late = new AbortController();
  const timer = setTimer(systemClock, DEADLINE_MS, () => late.abort(new Error(`no answer within ${DEADLINE_MS} ms`)));
  try {
    const response = await fetch(url, { redirect: "error", signal: late.signal });
    if (!response.ok || response.body === null) throw new Error(`status ${response.status}`);
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const part of response.body) {
      bytes += part.length;
      if (bytes > MOST_BYTES) throw new Error(`more than ${MOST_BYTES} bytes`);
      parts.push(part);
    }
    return Buffer.concat(parts).toString();
  } finally {
    timer.cancel();
  }
}

async function readFile(path: string): Promise<string> {
  const file = await promises.open(path);
  try {
    const { size } = await file.stat();
    if (size > MOST_BYTES) throw new Error(`more than ${MOST_BYTES} bytes`);
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

/** The keys for signatures. A key that cannot be used is left out: an issuer may have others, too. */
function keysIn(text: string): Key[] {
  const { keys } = (JSON.parse(text) ?? {}) as { readonly keys?: unknown };
  if (!Array.isArray(keys)) throw new Error('there is no list "keys"');
  return keys.slice(0, MOST_KEYS).flatMap((jwk: JsonWebKey | null): Key[] => {
    const { kid, use = "sig", alg } = jwk ?? {};
    if (jwk === null || use !== "sig" || jwk.kty === "oct") return [];
    try {
      const key = createPublicKey({ key: jwk, format: "jwk" });
      return [{ id: typeof kid === "string" ? kid : null, algorithm: alg, key }];
    } catch {
      return [];
    }
  });
}
