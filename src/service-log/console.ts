// The console's files as routes: a part of a service. The page and what it loads have relative addresses, so that they work below any
// path of a proxy. Nothing may run that is not one of these files.

import { ProblemError } from "../service/problems.ts";
import type { ServicePart } from "../service/parts.ts";
import { parameterOf } from "../service/route.ts";

/** A file as it is sent. */
export interface ConsoleFile {
  readonly name: string;
  readonly type: string;
  /** Names the content. */
  readonly etag: string;
  readonly content: Uint8Array<ArrayBuffer>;
  readonly gzipped: Uint8Array<ArrayBuffer>;
}

const INDEX = "index.html";
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");
const HEADERS = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  vary: "accept-encoding",
};
/** A file whose name has a hash of its content never changes. */
const HASHED = /-[A-Z0-9]{8}\.\w+$/;

/** @param load called with the first request */
export function consolePart(load: () => Promise<readonly ConsoleFile[]>): ServicePart {
  let loading: Promise<ReadonlyMap<string, ConsoleFile>> | undefined;
  const files = () => {
    loading ??= load().then((each) => new Map(each.map((file) => [file.name, file])));
    return loading;
  };
  const sent = async (request: Request, name: string) => {
    const file = (await files()).get(name);
    if (file === undefined) throw new ProblemError("not-found", "The console has no such file.");
    return answerOf(file, request);
  };
  const about = { method: "GET", scope: null, response: "text/html", isUncounted: true } as const;
  return {
    routes: [
      {
        ...about,
        path: "/",
        operationId: "getRoot",
        summary: "Leads to the console",
        isHidden: true,
        run: () => new Response(null, { status: 302, headers: { location: "console/" } }),
      },
      {
        ...about,
        path: "/console",
        operationId: "getConsole",
        summary: "The console, for people",
        run({ request }) {
          // The router sends the path with a slash at its end here, too.
          const isPage = new URL(request.url).pathname.endsWith("/");
          return isPage ? sent(request, INDEX) : new Response(null, { status: 308, headers: { location: "console/" } });
        },
      },
      {
        ...about,
        path: "/console/:file",
        operationId: "getConsoleFile",
        summary: "What the console loads",
        isHidden: true,
        run: ({ request }) => sent(request, parameterOf(request)),
      },
    ],
  };
}

function answerOf({ name, type, etag, content, gzipped }: ConsoleFile, { headers: asked }: Request): Response {
  const fresh = HASHED.test(name) ? "public, max-age=31536000, immutable" : "no-cache";
  const headers = { ...HEADERS, etag: `"${etag}"`, "cache-control": fresh };
  const known = (asked.get("if-none-match") ?? "").split(",").map((each) => each.trim().replace(/^W\//, ""));
  if (known.includes(headers.etag)) return new Response(null, { status: 304, headers });
  const isZipped = /\bgzip\b/.test(asked.get("accept-encoding") ?? "");
  return new Response(isZipped ? gzipped : content, {
    headers: { ...headers, "content-type": type, ...(isZipped ? { "content-encoding": "gzip" } : {}) },
  });
}
