// The parts of Cloudflare's runtime that the store uses, by their shape. Nothing here decides or stores.

/** Rows of a statement: read at once, before the next statement runs. */
interface SqlCursor {
  raw(): Iterable<readonly unknown[]>;
}

/** The SQLite of one object. */
export interface SqlStorage {
  exec(query: string, ...bindings: (string | number)[]): SqlCursor;
  /** Bytes. */
  readonly databaseSize: number;
}

/** The storage of one object. */
export interface ObjectStorage {
  readonly sql: SqlStorage;
  /** Runs a function; what it throws takes back what it wrote. */
  transactionSync<Result>(run: () => Result): Result;
  /** Epoch ms; `null`: no alarm is set. */
  getAlarm(): Promise<number | null>;
  /** Replaces the alarm that is set. */
  setAlarm(atMs: number): Promise<void>;
  deleteAll(): Promise<void>;
}

/** What the runtime gives an object when it starts. */
export interface ObjectState {
  readonly storage: ObjectStorage;
}

/** A binding to a class of Durable Objects, such as `env.TOLLGATE`. */
export interface ObjectNamespace {
  idFromName(name: string): unknown;
  get(id: unknown, options?: { readonly locationHint?: string }): unknown;
}
