// The template of examples/cloudflare in workerd, as its wrangler.jsonc says, with a key and, where a test wants one, another
// policy.

import { readFileSync } from "node:fs";
import type { Plugin } from "esbuild";
import { makeKey } from "../../src/service/key-file.ts";
import { type RunningWorker, startWorker } from "./workerd.ts";

const FOLDER = "../../examples/cloudflare/";

interface Config {
  readonly main: string;
  readonly durable_objects: { readonly bindings: readonly { readonly name: string; readonly class_name: string }[] };
  readonly migrations: readonly { readonly new_sqlite_classes: readonly string[] }[];
}

/** The template's configuration: JSON with comments on lines of their own. */
export function config(): Config {
  const text = readFileSync(new URL(`${FOLDER}wrangler.jsonc`, import.meta.url), "utf8");
  return JSON.parse(text.replaceAll(/^\s*\/\/.*$/gm, ""));
}

export interface Template extends RunningWorker {
  /** A key with every scope. */
  readonly apiKey: string;
}

export interface TemplateOptions {
  /** In place of the template's. */
  readonly policy?: object;
  /** In place of what the template has. */
  readonly bindings?: Readonly<Record<string, string>>;
  readonly objects?: Readonly<Record<string, { readonly className: string; readonly useSQLite: boolean }>>;
}

export async function startTemplate({ policy, bindings, objects }: TemplateOptions = {}): Promise<Template> {
  const { main, durable_objects, migrations } = config();
  const sqlite = new Set(migrations.flatMap((each) => each.new_sqlite_classes));
  const bound = durable_objects.bindings.map(({ name, class_name }) => {
    return [name, { className: class_name, useSQLite: sqlite.has(class_name) }] as const;
  });
  const { stored, key } = makeKey({ scopes: ["decide", "read", "admin"] });
  const worker = await startWorker({
    file: FOLDER + main,
    flags: [],
    objects: objects ?? Object.fromEntries(bound),
    bindings: bindings ?? { TOLLGATE_KEYS: JSON.stringify({ version: 1, keys: [stored] }) },
    plugins: policy === undefined ? [] : [withPolicy(policy)],
  });
  return { ...worker, apiKey: key };
}

function withPolicy(policy: object): Plugin {
  return {
    name: "policy",
    setup: ({ onLoad }) =>
      onLoad({ filter: /policy\.json$/ }, () => ({ contents: JSON.stringify(policy), loader: "json" })),
  };
}
