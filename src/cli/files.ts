// Files that commands are given: what is wrong with one names the option, the file and the reason.

import { closeSync, openSync, readFileSync } from "node:fs";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { type MisuseCode, MisuseError, withFaults } from "../kernel/errors.ts";
import { fileReasonOf, reasonOf } from "../kernel/reason.ts";
import { CommandError } from "./exit.ts";

/** @param act what cannot be done with the file */
function fileError(act: string, file: string, option: string | undefined, error: unknown, advice = ""): CommandError {
  const where = option === undefined ? "" : `${option}: `;
  return new CommandError(`${where}cannot ${act} ${file}: ${fileReasonOf(error)}${advice}`, { cause: error });
}

/**
 * A file's text.
 *
 * @param option which option names it
 * @param advice what to do where it cannot be read, as a further sentence
 * @throws CommandError
 */
export function readInput(file: string, option?: string, advice?: string): string {
  return readInputBytes(file, option, advice).toString("utf8");
}

/** The same, as its bytes. */
export function readInputBytes(file: string, option?: string, advice?: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw fileError("read", file, option, error, advice);
  }
}

/** Runs `write`. What the system refuses becomes a CommandError. */
export function writing<Result>(file: string, option: string, write: () => Result): Result {
  try {
    return write();
  } catch (error) {
    if (error instanceof Error && "syscall" in error) throw fileError("write", file, option, error);
    throw error;
  }
}

/** Throws a CommandError unless the file can be appended to. A file that does not exist is created. */
export function checkAppendable(file: string, option: string): void {
  writing(file, option, () => closeSync(openSync(file, "a", 0o600)));
}

/** Runs `use`. Faults of this code that name no place get the file as their place. */
export function inFile<Result>(file: string, kind: MisuseCode, use: () => Result): Result {
  try {
    return use();
  } catch (error) {
    if (!MisuseError.isInstance(error) || error.code !== kind) throw error;
    throw withFaults(error, (fault) => ({ at: file, ...fault }));
  }
}

/**
 * A certificate and its key, in PEM.
 *
 * @throws CommandError that names the file which is not one, or does not go with the other
 */
export function readTls(cert: string, key: string): { readonly cert: string; readonly key: string } {
  const texts = { cert: readInput(cert, "--tls-cert"), key: readInput(key, "--tls-key") };
  checkPem({ cert: texts.cert }, `--tls-cert: ${cert} is no certificate in PEM`);
  checkPem({ key: texts.key }, `--tls-key: ${key} is no key in PEM`);
  checkPem(texts, `--tls-key: ${key} is not the key of the certificate ${cert}`);
  return texts;
}

/** Throws a CommandError unless the file has certificates of authorities. */
export function checkAuthority(file: string, option: string): void {
  const message = `${option}: ${file} has no certificate in PEM`;
  const ca = readInput(file, option);
  if (!ca.includes("-----BEGIN CERTIFICATE-----")) throw new CommandError(message);
  checkPem({ ca }, message);
}

function checkPem(parts: SecureContextOptions, message: string): void {
  try {
    createSecureContext(parts);
  } catch (error) {
    throw new CommandError(`${message} (${reasonOf(error)})`, { cause: error });
  }
}
