// The API as a page for people: one table, nothing from elsewhere.

import type { Route } from "./routes.ts";

const HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
};

const STYLE =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}" +
  "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .75rem .35rem 0;vertical-align:top;" +
  "border-bottom:1px solid #8884}code{font-family:ui-monospace,monospace}";

/** The page. */
export function docsPage(routes: readonly Route[]): Response {
  const rows = routes.map(
    ({ method, path, scope, summary }) =>
      `<tr><td><code>${method} ${path}</code></td><td>${scope ?? "-"}</td><td>${escaped(summary)}</td></tr>`,
  );
  const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tollgate</title><style>${STYLE}</style></head>
<body><h1>Tollgate</h1>
<p>Rate limits and budgets for the tool calls of AI agents. Bodies are JSON; the schema of each stands in
<a href="/openapi.json">/openapi.json</a>. A denied call is an answer like any other: 200 with <code>"allowed": false</code>.
Errors are <code>application/problem+json</code>.</p>
<p>Keys go as <code>Authorization: Bearer tg_…</code>; a key has one or more of the scopes below.</p>
<table><thead><tr><th>Route</th><th>Scope</th><th>What it does</th></tr></thead><tbody>
${rows.join("\n")}
</tbody></table></body></html>`;
  return new Response(page, { headers: HEADERS });
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
