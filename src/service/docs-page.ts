// The API and its problems as pages for people: tables, nothing from elsewhere.

import { PROBLEMS } from "../http/problem-table.ts";
import type { Route } from "./route.ts";

const HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
};

const STYLE =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}" +
  "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .75rem .35rem 0;vertical-align:top;" +
  "border-bottom:1px solid #8884}pre{overflow-x:auto}code{font-family:ui-monospace,monospace}";

const EXAMPLE = `curl localhost:8420/v1/consume \\
  -H 'authorization: Bearer tg_…' -H 'content-type: application/json' \\
  -d '{ "call": { "tool": "search", "session": "s1", "turn": "t1" } }'`;

/** The page of the routes. Its links are relative, so that they work below a prefix. */
export function docsPage(routes: readonly Route[]): Response {
  const rows = routes.map(
    ({ method, path, scope, summary }) =>
      `<tr><td><code>${method} ${path}</code></td><td>${scope ?? "-"}</td><td>${escaped(summary)}</td></tr>`,
  );
  return pageOf(
    "Tollgate",
    `<p>Rate limits and budgets for the tool calls of AI agents. Bodies are JSON; the schema of each stands in
<a href="openapi.json">/openapi.json</a>. A denied call is an answer like any other: 200 with <code>"allowed": false</code>.
Errors are <code>application/problem+json</code>; <a href="problems">/problems</a> lists them.</p>
<p>Keys go as <code>Authorization: Bearer tg_…</code>; a key has one or more of the scopes below.</p>
<pre><code>${escaped(EXAMPLE)}</code></pre>
<table><thead><tr><th>Route</th><th>Scope</th><th>What it does</th></tr></thead><tbody>
${rows.join("\n")}
</tbody></table>`,
  );
}

/** The page of the problems: each at the fragment that its `type` names. */
export function problemsPage(): Response {
  const rows = Object.entries(PROBLEMS).map(
    ([code, [status, meaning]]) =>
      `<tr id="${code}"><td><code>${code}</code></td><td>${status}</td><td>${marked(meaning)}</td></tr>`,
  );
  return pageOf(
    "Problems of Tollgate",
    `<p>An answer that reports a problem is <code>application/problem+json</code> (RFC 9457). Its <code>code</code> is one of these.</p>
<table><thead><tr><th>Code</th><th>Status</th><th>What it means</th></tr></thead><tbody>
${rows.join("\n")}
</tbody></table>`,
  );
}

function pageOf(title: string, content: string): Response {
  const head = `<meta charset="utf-8"><title>${title}</title><style>${STYLE}</style>`;
  const page = `<!doctype html><html lang="en"><head>${head}</head>\n<body><h1>${title}</h1>\n${content}</body></html>`;
  return new Response(page, { headers: HEADERS });
}

/** A text of which what stands in backticks is code. */
function marked(text: string): string {
  return escaped(text).replace(/`([^`]+)`/g, "<code>$1</code>");
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
