// What the sources can say to a user: the texts of errors, warnings and log lines, read from the syntax tree. What a text has
// filled in stands as `…`.

import { resolve } from "node:path";
import {
  isArrayLiteralExpression,
  isArrowFunction,
  isBinaryExpression,
  isCallExpression,
  isConditionalExpression,
  isFunctionDeclaration,
  isIdentifier,
  isLiteralTypeNode,
  isNewExpression,
  isNoSubstitutionTemplateLiteral,
  isObjectLiteralExpression,
  isParenthesizedExpression,
  isPropertyAccessExpression,
  isPropertyAssignment,
  isShorthandPropertyAssignment,
  isStringLiteral,
  isTemplateExpression,
  isTypeReferenceNode,
  isVariableDeclaration,
  type Node,
  SyntaxKind,
} from "typescript/unstable/ast";
import { API } from "typescript/unstable/sync";
import { ROOT } from "./sources.ts";

/** The sources without what they import: nothing is checked here. */
const SYNTAX = resolve(ROOT, "test/messages.tsconfig.json");

/** One thing that a file can say. */
export interface Message {
  readonly file: string;
  /** What it is: a text, or a code. */
  readonly kind: "text" | "code";
  readonly text: string;
}

/** What is given a text for users beside functions that have a parameter for one, and which argument it is. */
const SAYING: Readonly<Record<string, number>> = {
  StoreError: 1,
  ProblemError: 1,
  TermsError: 1,
  super: 0,
  invalidReply: 0,
  emitWarning: 0,
};
/** The same, of the words of a policy. */
const SAYING_IN: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  "src/kernel/algorithms/budget.ts": { demand: 2 },
  "src/kernel/algorithms/fixed-window.ts": { demand: 2 },
  "src/kernel/policy/schema.ts": { text: 1, object: 0, overrides: 1, listOf: 1 },
  "src/kernel/policy/schema-values.ts": { text: 1, object: 0, listOf: 1 },
  "src/policy-warnings/tools.ts": { make: 2 },
  "src/testing/policy-test-faults.ts": { demand: 2 },
  "src/testing/policy-test-schema.ts": { text: 1, object: 0, entries: 1, list: 1, whole: 2, amount: 1 },
  "src/gateway/config/schema.ts": {
    short: 0,
    text: 1,
    checkedText: 1,
    object: 0,
    secret: 0,
    names: 0,
    map: 2,
    unionByKey: 0,
  },
  "src/envoy/mapping.ts": { short: 0, text: 1, object: 0, map: 2 },
};
/** Parameters that are texts for users. */
const TEXT_PARAMETERS: ReadonlySet<string> = new Set(["message", "expected", "detail", "problem"]);
/** Methods of a log or the console. */
const LOGGING: ReadonlySet<string> = new Set(["error", "warn", "info"]);
/** Keys whose value is a text for users. */
const SAID_AS: ReadonlySet<string> = new Set(["expected", "problem", "error", "message", "details", "grantFault"]);
/** Where other keys of that name describe a field. */
const FIELDS_FILE = "src/events.ts";
/** Tables whose values are texts for users, and such whose keys are what a server says. */
const TEXTS: ReadonlySet<string> = new Set([
  "TITLES",
  "OWN_TABLES",
  "EVERYWHERE",
  "FIXES",
  "REASONS",
  "PARTS",
  "sentences",
  "FAULTS",
]);
const WORDS: ReadonlySet<string> = new Set(["BY_WORD"]);
/** Variables that hold texts for users. */
const HOLDING: ReadonlySet<string> = new Set(["problem", "problems", "sentence"]);

/** Everything that these files can say, in their order. */
export function messagesIn(files: readonly string[]): Message[] {
  const api = new API({ cwd: ROOT });
  try {
    const project = api.updateSnapshot({ openProject: SYNTAX }).getProjects()[0];
    const read = files.map((file) => {
      const source = project?.program.getSourceFile(resolve(ROOT, file));
      if (source === undefined) throw new Error(`${file} is not in the project`);
      return { file, source, ...sayersIn(source) };
    });
    const anywhere = new Map(read.flatMap(({ exported }) => [...exported]));
    return read.flatMap(({ file, source, own }) => messagesOf(source, file, new Map([...anywhere, ...own])));
  } finally {
    api.close();
  }
}

/** Functions with a parameter that is a text for users, and its place among the others. */
function sayersIn(source: Node) {
  const [own, exported] = [new Map<string, number>(), new Map<string, number>()];
  const visit = (node: Node) => {
    const name = isFunctionDeclaration(node)
      ? node.name?.text
      : isArrowFunction(node) && node.parent !== undefined && isVariableDeclaration(node.parent)
        ? nameOf(node.parent.name)
        : undefined;
    if (name !== undefined && (isFunctionDeclaration(node) || isArrowFunction(node))) {
      const place = node.parameters.findIndex((each) => TEXT_PARAMETERS.has(nameOf(each.name)));
      if (place !== -1) own.set(name, place);
      if (place !== -1 && node.getText().startsWith("export")) exported.set(name, place);
    }
    node.forEachChild((child) => visit(child));
  };
  visit(source);
  return { own, exported };
}

function messagesOf(source: Node, file: string, sayers: ReadonlyMap<string, number>): Message[] {
  const found: Message[] = [];
  const add = (kind: Message["kind"], node: Node | undefined) => {
    if (node === undefined) return;
    for (const text of textsOf(node)) {
      if (/\p{L}{3}/u.test(text)) found.push({ file, kind, text: text.replace(/…{2,}/g, "…") });
    }
  };
  const visit = (node: Node) => {
    if (isCallExpression(node) || isNewExpression(node)) {
      const name = nameOf(node.expression);
      const given = node.arguments ?? [];
      const index = SAYING[name] ?? SAYING_IN[file]?.[name] ?? sayers.get(name);
      if (index !== undefined) add("text", given[index]);
      // Of an error that is not known by its name, each text that is given to it.
      else if (isNewExpression(node) && isThrown(name)) for (const each of given) add("text", each);
      if (name === "ProblemError") add("code", given[0]);
      // Some errors are given a code before their text.
      if (name === "super") add("text", given[1]);
      if (isLog(node.expression)) add("text", given.at(-1));
      // In the schema of a policy, the text is made of the words.
      const words = name === "oneOf" && file in SAYING_IN ? given.flatMap((each) => textsOf(each)) : [];
      const text = `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
      if (words.length > 1) found.push({ file, kind: "text", text });
    } else if (isPropertyAssignment(node) && SAID_AS.has(node.name.getText())) {
      if (file !== FIELDS_FILE || node.name.getText() === "message") add("text", node.initializer);
    } else if (isShorthandPropertyAssignment(node) && SAID_AS.has(node.name.getText())) add("text", node.name);
    // The compiler shows the reason to the user of a type that refuses a word.
    if (isTypeReferenceNode(node) && node.typeName.getText() === "Refused") {
      const reason = node.typeArguments?.[1];
      if (reason !== undefined && isLiteralTypeNode(reason)) add("text", reason.literal);
    }
    if (isVariableDeclaration(node) && HOLDING.has(node.name.getText())) add("text", node.initializer);
    if (isVariableDeclaration(node) && node.initializer !== undefined && isObjectLiteralExpression(node.initializer)) {
      for (const each of node.initializer.properties) {
        if (!isPropertyAssignment(each)) continue;
        if (TEXTS.has(node.name.getText())) add("text", each.initializer);
        if (WORDS.has(node.name.getText())) found.push({ file, kind: "code", text: each.name.getText() });
      }
    }
    node.forEachChild((child) => visit(child));
  };
  visit(source);
  return found;
}

function isThrown(name: string): boolean {
  return /(?:Error|RefusedRequest)$/.test(name);
}

function nameOf(node: Node): string {
  if (node.kind === SyntaxKind.SuperKeyword) return "super";
  if (isIdentifier(node)) return node.text;
  // One of two functions that say the same.
  if (isParenthesizedExpression(node)) return nameOf(node.expression);
  if (isConditionalExpression(node)) return nameOf(node.whenTrue);
  return isPropertyAccessExpression(node) ? node.name.getText() : "";
}

/** Whether something is a method of a log, or writes to stderr. */
function isLog(node: Node): boolean {
  if (!isPropertyAccessExpression(node) || !LOGGING.has(node.name.getText())) return false;
  return /^(?:log\??|console|context\.log\??)$/.test(node.expression.getText());
}

/** The texts that an expression can come to, as far as the file says. */
function textsOf(node: Node, depth = 0): string[] {
  if (depth > 8) return [];
  const deeper = (inner: Node) => textsOf(inner, depth + 1);
  if (isStringLiteral(node) || isNoSubstitutionTemplateLiteral(node)) return [node.text];
  if (isTemplateExpression(node)) {
    return node.templateSpans.reduce(
      (starts, { expression, literal }) => {
        const filled = isIdentifier(expression) ? deeper(expression) : [];
        const inner = filled.some((each) => each === "" || /\p{L}{3}/u.test(each)) ? filled : ["…"];
        return starts.flatMap((start) => inner.map((each) => start + each + literal.text));
      },
      [node.head.text],
    );
  }
  if (isConditionalExpression(node)) return [...deeper(node.whenTrue), ...deeper(node.whenFalse)];
  if (isParenthesizedExpression(node)) return deeper(node.expression);
  if (isArrowFunction(node)) return deeper(node.body);
  if (isArrayLiteralExpression(node)) return node.elements.flatMap(deeper);
  // A text with a part replaced.
  if (isCallExpression(node) && isPropertyAccessExpression(node.expression) && nameOf(node.expression) === "replace") {
    return deeper(node.expression.expression);
  }
  if (isBinaryExpression(node)) {
    const [left, right] = [deeper(node.left), deeper(node.right)];
    if (node.operatorToken.kind !== SyntaxKind.PlusToken) return [...left, ...right];
    return left.flatMap((first) => right.map((second) => first + second));
  }
  if (isIdentifier(node)) return declarationsOf(node).flatMap(deeper);
  return [];
}

/** What the constants of this name in the nearest scope that has one are made of. */
function declarationsOf(node: Node & { readonly text: string }): Node[] {
  for (let scope: Node | undefined = node.parent; scope !== undefined; scope = scope.parent) {
    const found: Node[] = [];
    const visit = (inner: Node) => {
      const isIt = isVariableDeclaration(inner) && isIdentifier(inner.name) && inner.name.text === node.text;
      if (isIt && inner.initializer !== undefined) found.push(inner.initializer);
      inner.forEachChild((child) => visit(child));
    };
    visit(scope);
    if (found.length > 0) return found;
  }
  return [];
}
