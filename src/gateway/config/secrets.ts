// Secrets and files that the gateway's file names. What cannot be read is a fault of the place that names it, and its value is shown nowhere.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Fault } from "../../kernel/errors.ts";
import { fileReasonOf } from "../../kernel/reason.ts";
import type { CallsConfig } from "./config.ts";
import type { SecretFrom } from "./schema.ts";

const MIN_SIGNING_BYTES = 32;

export interface FileReading {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A path as the file writes it, from the folder that it is relative to. */
  readonly pathOf: (path: string) => string;
}

/** Reads secrets, and collects what is wrong with them. */
export class Secrets {
  readonly faults: Fault[] = [];
  readonly #reading: FileReading;

  constructor(reading: FileReading) {
    this.#reading = reading;
  }

  /** A text without the white space around it; empty where there is a fault. */
  read(path: string, from: SecretFrom): string {
    if ("file" in from) return this.#file(`${path}.file`, from.file).trim();
    const value = this.#reading.env[from.env]?.trim() ?? "";
    if (value === "") this.#fault(`${path}.env`, "an environment variable that is set", from.env);
    return value;
  }

  /** A secret that signs. Its id follows from it, so that all instances have the same. */
  signing(path: string, from: SecretFrom): CallsConfig["secrets"][number] {
    const before = this.faults.length;
    const secret = Buffer.from(this.read(path, from));
    if (this.faults.length === before && secret.length < MIN_SIGNING_BYTES) {
      this.#fault(
        path,
        `a secret of at least ${MIN_SIGNING_BYTES} bytes, as of openssl rand -base64 32`,
        "a shorter one",
      );
    }
    return { id: createHash("sha256").update(secret).digest("hex").slice(0, 8), secret };
  }

  /** The texts of some files. */
  files<Name extends string>(path: string, files: Readonly<Record<Name, string>>): Record<Name, string> {
    const names = Object.keys(files) as Name[];
    return Object.fromEntries(names.map((name) => [name, this.#file(`${path}.${name}`, files[name])])) as never;
  }

  #file(path: string, file: string): string {
    try {
      return readFileSync(this.#reading.pathOf(file), "utf8");
    } catch (error) {
      this.#fault(path, "a file that can be read", `${file}: ${fileReasonOf(error)}`);
      return "";
    }
  }

  #fault(path: string, expected: string, got: string): void {
    this.faults.push({ path, expected, got });
  }
}
