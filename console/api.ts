// Requests to the service. The key stays in this tab: in its session storage, and in the header of each request.

export interface ApiFault {
  readonly path: string;
  readonly expected: string;
  readonly got: string;
  readonly hint?: string;
}

/** An answer that is a problem, or none at all. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** 0: the service did not answer. */
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

type Values = Readonly<Record<string, string | number | boolean | undefined>>;

const STORED = "tollgate-key";
const ANSWERS_MS = 15_000;
/** A service ends a simulation after 30 s. */
const SIMULATES_MS = 40_000;

let onRefused: (error: ApiError) => void = () => {};

/** Says what happens when the service no longer accepts the key. */
export function whenRefused(listener: (error: ApiError) => void): void {
  onRefused = listener;
}

export function storedKey(): string | null {
  return sessionStorage.getItem(STORED);
}

export function storeKey(key: string | null): void {
  if (key === null) sessionStorage.removeItem(STORED);
  else sessionStorage.setItem(STORED, key);
}

/** Reads `/v1/<path>`, also where the console is served below another path. */
export function get<Answer>(path: string, query: Values = {}, signal?: AbortSignal): Promise<Answer> {
  return send<Answer>("GET", urlOf(`v1/${path}`, query), { signal });
}

/** Reads `/v1/<path>` with the ETag of its text. A proxy that compresses may have made a weak one of it. */
export async function getTagged<Answer>(
  path: string,
  signal?: AbortSignal,
): Promise<Answer & { readonly etag: string }> {
  const response = await request("GET", urlOf(`v1/${path}`, {}), { signal });
  const etag = (response.headers.get("etag") ?? "").replace(/^W\//, "");
  return { ...(await answerIn<Answer>(response)), etag };
}

/** Reads a path of the service itself, such as `readyz`, whatever its status is. */
export async function state<Answer>(path: string): Promise<Answer> {
  return (await (await request("GET", urlOf(path, {}), {})).json()) as Answer;
}

export function post<Answer>(path: string, body: unknown): Promise<Answer> {
  return send<Answer>("POST", urlOf(`v1/${path}`, {}), { body });
}

/** Asks for something that takes its time. */
export function simulate<Answer>(body: unknown, signal: AbortSignal): Promise<Answer> {
  return send<Answer>("POST", urlOf("v1/policy/simulate", {}), { body, signal, answersMs: SIMULATES_MS });
}

export function put<Answer>(path: string, body: unknown, headers: Readonly<Record<string, string>>): Promise<Answer> {
  return send<Answer>("PUT", urlOf(`v1/${path}`, {}), { body, headers });
}

function urlOf(path: string, query: Values): URL {
  const url = new URL(`../${path}`, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  return url;
}

interface Asked {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  readonly answersMs?: number;
}

async function send<Answer>(method: string, url: URL, asked: Asked): Promise<Answer> {
  return answerIn<Answer>(await request(method, url, asked));
}

async function answerIn<Answer>(response: Response): Promise<Answer> {
  if (response.status === 204) return null as Answer;
  const value: unknown = await response.json().catch(() => null);
  if (response.ok) return value as Answer;
  const { code = "unknown", detail = `The service answered ${response.status}.` } = (value ?? {}) as Partial<
    Record<"code" | "detail", string>
  >;
  const error = new ApiError(response.status, code, detail);
  if (response.status === 401) onRefused(error);
  throw error;
}

async function request(method: string, url: URL, asked: Asked): Promise<Response> {
  const { body, headers = {}, signal, answersMs = ANSWERS_MS } = asked;
  const key = storedKey();
  const late = AbortSignal.timeout(answersMs);
  try {
    return await fetch(url, {
      method,
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new ApiError(0, "unreachable", "The service does not answer.");
  }
}
