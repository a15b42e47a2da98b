// A part of a service that a program adds: routes of the decision log, of the console. What is not added is not loaded.

import type { Route } from "./route.ts";

export interface ServicePart {
  readonly routes: readonly Route[];
  /** Adds the routes to the service's OpenAPI document. */
  describe?(document: OpenApi): OpenApi | Promise<OpenApi>;
  /** Ends what the part runs. Called when the limiter is closed. */
  close?(): Promise<void>;
}

/** What an OpenAPI document says of paths and of the schemas that they name. */
export interface OpenApi {
  readonly paths: Readonly<Record<string, object>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

/** The document with what another one says of its own paths. */
export function withPaths(document: OpenApi, { paths, components }: OpenApi): OpenApi {
  const schemas = { ...document.components.schemas, ...components.schemas };
  const own = Object.entries(paths).map(([path, methods]) => [path, { ...document.paths[path], ...methods }]);
  return {
    ...document,
    paths: { ...document.paths, ...Object.fromEntries(own) },
    components: { ...document.components, schemas },
  };
}
