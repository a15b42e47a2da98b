// Marks what the package's modules make when they are loaded as free of side effects, which `sideEffects: false` says of each
// module. In a chunk with several modules a bundler no longer knows that, and would keep what a program does not use.

import { readFileSync } from "node:fs";
import type { Plugin } from "esbuild";
import ts from "typescript-5.9";

/** Which modules: the project's own, and the schema library, whose functions all say that they have none. */
const MODULES = /\/src\/.*\.ts$|\/node_modules\/valibot\/.*\.mjs$/;

export const pure: Plugin = {
  name: "pure",
  setup({ onLoad }) {
    onLoad({ filter: MODULES }, ({ path }) => {
      return { contents: withPureConstants(readFileSync(path, "utf8")), loader: path.endsWith(".ts") ? "ts" : "js" };
    });
  },
};

/** A module whose constants are made in functions that are called once: a bundler removes such a call as a whole. */
export function withPureConstants(text: string): string {
  const { statements } = ts.createSourceFile("module.ts", text, ts.ScriptTarget.ESNext);
  const values = statements
    .filter(ts.isVariableStatement)
    .flatMap(({ declarationList }) => [...declarationList.declarations])
    .flatMap(({ name, initializer }) => (initializer !== undefined && ts.isIdentifier(name) ? [initializer] : []))
    .filter(mayDoSomething);
  let marked = "";
  let from = 0;
  for (const { end, pos } of values) {
    marked += `${text.slice(from, pos)} /* @__PURE__ */ (function () { return (${text.slice(pos, end)}); })()`;
    from = end;
  }
  return marked + text.slice(from);
}

/** Whether a bundler cannot see that an expression has no side effects. */
function mayDoSomething(node: ts.Node): boolean {
  if (ts.isFunctionLike(node)) return false;
  const isAny =
    ts.isCallExpression(node) ||
    ts.isNewExpression(node) ||
    ts.isPropertyAccessExpression(node) ||
    ts.isElementAccessExpression(node) ||
    ts.isSpreadAssignment(node) ||
    ts.isSpreadElement(node);
  return isAny || (ts.forEachChild(node, (child) => mayDoSomething(child) || undefined) ?? false);
}
