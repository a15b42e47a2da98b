// Makes what is sent of the console's files.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname } from "node:path";
import { gzipSync } from "node:zlib";
import type { ConsoleFile } from "./console.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** A file of the console. */
export function consoleFile(name: string, content: Uint8Array): ConsoleFile {
  const type = TYPES[extname(name)] ?? "application/octet-stream";
  const etag = createHash("sha256").update(content).digest("base64url").slice(0, 22);
  return {
    name,
    type,
    etag,
    content: new Uint8Array(content),
    gzipped: new Uint8Array(gzipSync(content, { level: 9 })),
  };
}

/** The files of a folder. */
export function readConsole(folder: URL): readonly ConsoleFile[] {
  return readdirSync(folder).map((name) => consoleFile(name, readFileSync(new URL(name, folder))));
}
