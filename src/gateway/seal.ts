// Signed texts that travel through clients: ids of sessions, and the state of a call between its rounds. A token is signed and
// bound to its purpose, time, and to what is never sent with it; it is not encrypted. What its content means is not known here.

import { createHmac, timingSafeEqual } from "node:crypto";
import { type Clock, systemClock } from "../clock.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { CallsConfig } from "./config/config.ts";
import type { Seal, SealPurpose } from "./contract.ts";

type Secrets = CallsConfig["secrets"];

const FORMS: Readonly<Record<SealPurpose, { readonly mark: string; readonly maxLength: number }>> = {
  // It is sent in a header.
  session: { mark: "tgs1", maxLength: 4_096 },
  // So is that of several servers.
  sessions: { mark: "tgm1", maxLength: 8_192 },
  state: { mark: "tgr1", maxLength: 4_194_304 },
};
const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/;
const TIME = /^[0-9a-z]{1,10}$/;
const MIN_SECRET_BYTES = 32;

/**
 * Signs with the first secret, and opens what any of them has signed. A token is `<mark>.<key id>.<time>.<content>.<mac>`.
 *
 * @throws MisuseError `invalid-option`
 */
export function createSeal(secrets: Secrets, clock: Clock = systemClock): Seal {
  checkSecrets(secrets);
  const [first] = secrets;
  const byId = new Map(secrets.map(({ id, secret }) => [id, secret]));
  return {
    seal(purpose, content, boundTo) {
      const { mark, maxLength } = FORMS[purpose];
      const signed = `${mark}.${first.id}.${clock.nowMs().toString(36)}.${Buffer.from(content).toString("base64url")}`;
      const token = `${signed}.${macOf(purpose, signed, boundTo, first.secret)}`;
      if (token.length <= maxLength) return token;
      throw new RangeError(`a sealed ${purpose} has at most ${maxLength} characters, and this one has ${token.length}`);
    },
    open(purpose, token, boundTo) {
      const { mark, maxLength } = FORMS[purpose];
      if (token.length > maxLength) return null;
      const [own, keyId = "", time = "", content = "", mac = "", ...more] = token.split(".", 6);
      const secret = byId.get(keyId);
      if (own !== mark || secret === undefined || !TIME.test(time) || more.length > 0) return null;
      const signed = token.slice(0, -mac.length - 1);
      if (!areEqual(mac, macOf(purpose, signed, boundTo, secret))) return null;
      const ageMs = clock.nowMs() - Number.parseInt(time, 36);
      return { content: Buffer.from(content, "base64url").toString(), ageMs };
    },
  };
}

function checkSecrets(secrets: Secrets): asserts secrets is readonly [Secrets[number], ...Secrets] {
  const isRight = ({ id, secret }: Secrets[number]) => KEY_ID.test(id) && secret.length >= MIN_SECRET_BYTES;
  const ids = new Set(secrets.map(({ id }) => id));
  if (secrets.length > 0 && ids.size === secrets.length && secrets.every(isRight)) return;
  const expected = `at least one { id, secret }, with different ids of 1 to 32 letters, digits, _ or -, and secrets of at least ${MIN_SECRET_BYTES} bytes`;
  // The secrets themselves are never shown.
  throw invalidOption(
    "secrets",
    expected,
    secrets.map(({ id, secret }) => ({ id, bytes: secret.length })),
  );
}

/** The text that is bound is JSON, so that no two lists have the same. */
function macOf(purpose: SealPurpose, signed: string, boundTo: readonly (string | null)[], secret: Uint8Array): string {
  const text = `tollgate mcp ${purpose} 1\n${signed}\n${JSON.stringify(boundTo)}`;
  return createHmac("sha256", secret).update(text).digest("base64url");
}

/** Texts are compared, not what they encode: several texts encode the same bytes. */
function areEqual(found: string, expected: string): boolean {
  const bytes = Buffer.from(found);
  return bytes.length === expected.length && timingSafeEqual(bytes, Buffer.from(expected));
}
