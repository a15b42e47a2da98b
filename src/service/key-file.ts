// The file of API keys: read, watched and changed. It holds only hashes; a key's secret is shown once, when the key is made.

import { hash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { systemClock } from "../clock.ts";
import { formatGot, invalidOption, MisuseError } from "../kernel/errors.ts";
import { readBy } from "../kernel/policy/schema-kinds.ts";
import { fileReasonOf } from "../kernel/reason.ts";
import { type WatchOptions, watchedFile } from "../policy-file/watched-file.ts";
import { type Keys, keySchema, keysById, MAX_KEYS, SCOPES, type Scope, type StoredKey, storedKeysIn } from "./keys.ts";

const MAX_BYTES = 10_000_000;

/**
 * The keys of a file, which several instances may share: it is read again when it has changed.
 *
 * @throws MisuseError `invalid-option` when it is no key file, or others than its owner may write it
 */
export function keyFile(path: string, options: WatchOptions = {}): Keys {
  let keys = keysById(readKeys(path));
  const { close } = watchedFile(path, options, () => {
    keys = keysById(readKeys(path));
  });
  return { find: (id) => keys.get(id), close };
}

/** What a key file holds. Throws `invalid-option`. */
export function readKeys(path: string): readonly StoredKey[] {
  return storedKeysIn(readText(path), path);
}

function readText(path: string): string {
  try {
    const { mode, size } = statSync(path);
    if (process.platform !== "win32" && (mode & 0o022) !== 0) {
      throw invalidOption("keys", "a file that only its owner may write (chmod 600)", path);
    }
    if (size > MAX_BYTES) throw invalidOption("keys", `a file of at most ${MAX_BYTES} bytes`, path);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (MisuseError.isInstance(error)) throw error;
    const fault = { path: "keys", expected: `a key file that can be read at ${path}`, got: fileReasonOf(error) };
    throw new MisuseError("invalid-option", fault, { cause: error });
  }
}

/** What `makeKey` expects of each option, as `keySchema` has it. */
const EXPECTED: Readonly<Record<string, string>> = {
  scopes: `some of ${SCOPES.join(", ")}`,
  tenants: "1 to 1,000 tenants of 1 to 1,000 characters",
  name: "at most 200 characters",
};

/** The options of a new key. */
export interface NewKey {
  readonly scopes: readonly Scope[];
  readonly tenants?: readonly string[] | undefined;
  readonly name?: string | undefined;
}

/**
 * Makes a key that is in no file yet, and its text. The command line writes a line of the audit log before it adds the key.
 *
 * @throws MisuseError `invalid-option`
 */
export function makeKey({ scopes, tenants, name }: NewKey): { readonly stored: StoredKey; readonly key: string } {
  // 60 bits, in letters that cannot be mistaken for each other.
  const id = Array.from(randomBytes(12), (byte) => "abcdefghijkmnpqrstuvwxyz23456789"[byte % 32]).join("");
  const secret = randomBytes(32).toString("base64url");
  const stored = {
    id,
    sha256: hash("sha256", secret),
    scopes: [...new Set(scopes)],
    ...(tenants === undefined ? {} : { tenants: [...new Set(tenants)] }),
    ...(name === undefined ? {} : { name }),
    createdAt: new Date(systemClock.nowMs()).toISOString(),
  };
  const read = readBy(keySchema, stored);
  if ("faults" in read) {
    const [part = "key"] = read.faults[0]?.keys ?? [];
    const got = formatGot({ scopes, tenants, name }[String(part)]);
    throw new MisuseError("invalid-option", { path: String(part), expected: EXPECTED[String(part)] ?? "a key", got });
  }
  return { stored: read.value, key: `tg_${id}_${secret}` };
}

/** Adds a key to a file, which is made when it is not there. Throws `invalid-option`. */
export function addKey(path: string, stored: StoredKey): void {
  changeFile(path, (keys) => [...keys, stored]);
}

/**
 * Makes a key, and adds it to a file, which is made when it is not there.
 *
 * @returns the key's text, which is kept nowhere
 * @throws MisuseError `invalid-option`
 */
export function createKey(path: string, wanted: NewKey): { readonly id: string; readonly key: string } {
  const { stored, key } = makeKey(wanted);
  addKey(path, stored);
  return { id: stored.id, key };
}

/**
 * Takes a key out of a file.
 *
 * @throws MisuseError `invalid-option` when it is not there
 */
export function revokeKey(path: string, id: string): void {
  changeFile(path, (keys) => {
    if (!keys.some((key) => key.id === id)) throw invalidOption("id", `the id of a key in ${path}`, id);
    return keys.filter((key) => key.id !== id);
  });
}

/** Writes the new file beside the old one, under a name that locks out other commands, and renames it to the old one. */
function changeFile(path: string, change: (keys: readonly StoredKey[]) => readonly StoredKey[]): void {
  const next = `${path}.lock`;
  try {
    writeFileSync(next, "", { flag: "wx", mode: 0o600 });
  } catch (error) {
    const isLocked = error instanceof Error && "code" in error && error.code === "EEXIST";
    const expected = isLocked
      ? `that no other command changes ${path} (if one was killed while it did, remove ${next})`
      : `a folder in which ${path} can be written`;
    throw new MisuseError("invalid-option", { path: "keys", expected, got: fileReasonOf(error) }, { cause: error });
  }
  try {
    const keys = change(existsSync(path) ? readKeys(path) : []);
    if (keys.length > MAX_KEYS) throw invalidOption("keys", `at most ${MAX_KEYS} keys`, keys.length);
    writeFileSync(next, `${JSON.stringify({ version: 1, keys }, null, 2)}\n`);
    renameSync(next, path);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
}
