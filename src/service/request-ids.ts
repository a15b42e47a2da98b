// The ids by which answers and the log name requests: the caller's own, else one of this process.

export const REQUEST_ID_HEADER = "x-request-id";
const REQUEST_ID = /^[\w.-]{1,64}$/;

class RequestIds {
  readonly #known = new WeakMap<Request, string>();
  /** Made with the first id: some runtimes refuse random numbers while modules load. */
  #process: string | undefined;
  #count = 0;

  /** The id of a request; the same each time. `null`: a new one. */
  of(request: Request | null): string {
    if (request === null) return this.from("");
    const known = this.#known.get(request);
    if (known !== undefined) return known;
    const id = this.from(request.headers.get(REQUEST_ID_HEADER) ?? "");
    this.#known.set(request, id);
    return id;
  }

  /** The id in a header, if it is one; else a new one. */
  from(header: string): string {
    if (REQUEST_ID.test(header)) return header;
    this.#process ??= crypto.randomUUID().slice(0, 8);
    return `${this.#process}-${(++this.#count).toString(36)}`;
  }
}

export const requestIds = new RequestIds();
