// A log in a file: opened when it is first asked for, and again when that failed.

import type { DatabaseSync } from "node:sqlite";
import { systemClock } from "../../clock.ts";
import { closedError } from "../../store/error.ts";
import { sqliteError } from "../../stores/sqlite/errors.ts";
import type { LogBatch } from "../storage.ts";
import { FileReader } from "./read.ts";
import { type Bounds, Retention } from "./retention.ts";
import { openLogFile } from "./schema.ts";
import { BatchWriter } from "./write.ts";

export interface FileSettings extends Bounds {
  readonly path: string;
  /** The salt of a file that is made now. */
  readonly salt: string;
}

interface Open {
  readonly database: DatabaseSync;
  readonly reader: FileReader;
  readonly writer: BatchWriter;
  readonly retention: Retention;
}

export class LogFile {
  readonly #settings: FileSettings;
  #open: Open | null = null;
  #isClosed = false;

  constructor(settings: FileSettings) {
    this.#settings = settings;
  }

  /** @throws StoreError */
  write(batch: LogBatch): void {
    this.#with(({ writer, retention }) => {
      const nowMs = systemClock.nowMs();
      writer.write(batch, nowMs);
      retention.apply(nowMs);
    });
  }

  /** @throws StoreError */
  read<Answer>(ask: (reader: FileReader) => Answer): Answer {
    return this.#with(({ reader }) => ask(reader));
  }

  close(): void {
    this.#isClosed = true;
    this.#open?.database.close();
    this.#open = null;
  }

  #with<Answer>(work: (open: Open) => Answer): Answer {
    const { path, salt } = this.#settings;
    if (this.#isClosed) throw closedError("SQLite");
    try {
      this.#open ??= this.#opened(openLogFile(path, salt));
      return work(this.#open);
    } catch (error) {
      throw sqliteError(error, path);
    }
  }

  #opened(database: DatabaseSync): Open {
    const retention = new Retention(database, this.#settings);
    return { database, reader: new FileReader(database), writer: new BatchWriter(database), retention };
  }
}
