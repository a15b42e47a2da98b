// The subset of TypeScript that the compiled part of the kernel is written in: what TypeScriptToLua refuses, compiles to
// something else without an error, or needs its runtime library for, is a fault.

import ts from "typescript-5.9";

const MATH = new Set(["max", "min", "floor", "ceil"]);
const NUMBER = new Set(["MAX_SAFE_INTEGER", "POSITIVE_INFINITY", "NEGATIVE_INFINITY"]);
const LIST_METHODS = new Set(["push", "join"]);

/** Kinds of nodes that are faults wherever they stand. */
const FORBIDDEN = new Map<ts.SyntaxKind, string>([
  [ts.SyntaxKind.RegularExpressionLiteral, "a regular expression: use find of lua.ts"],
  [ts.SyntaxKind.NewExpression, "new: write a literal"],
  [ts.SyntaxKind.SpreadElement, "a spread list: copy it in a loop"],
  [ts.SyntaxKind.SpreadAssignment, "a spread object: write the literal in full"],
  [ts.SyntaxKind.ContinueStatement, "continue: Lua 5.1 has none"],
  [ts.SyntaxKind.SwitchStatement, "a switch: return early"],
  [ts.SyntaxKind.ClassDeclaration, "a class: write functions"],
  [ts.SyntaxKind.OmittedExpression, "a hole in a list"],
]);

/** Everything in a file that is not in the subset, each with its line. */
export function subsetFaults(source: ts.SourceFile, checker: ts.TypeChecker): string[] {
  const faults: string[] = [];
  const visit = (node: ts.Node): void => {
    const fault = faultOf(node, checker);
    if (fault !== null) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
      faults.push(`${source.fileName}:${line + 1}: ${fault}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return faults;
}

function faultOf(node: ts.Node, checker: ts.TypeChecker): string | null {
  const condition = conditionOf(node);
  if (condition !== undefined && !isBoolean(condition, checker))
    return "a condition that is no boolean: 0 is true in Lua";
  if (ts.isStringLiteral(node) && node.text.startsWith("^")) return patternFault(node.text);
  // A place that is skipped when a list is taken apart is no hole.
  if (ts.isOmittedExpression(node) && ts.isArrayBindingPattern(node.parent)) return null;
  const forbidden = FORBIDDEN.get(node.kind);
  if (forbidden !== undefined) return forbidden;
  if (ts.isTemplateSpan(node)) return isText(node.expression, checker) ? null : NUMBER_TEXT;
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    return isNumber(node.left, checker) && isNumber(node.right, checker) ? null : "+ on texts: use a template";
  }
  if (ts.isBindingElement(node) && ts.isObjectBindingPattern(node.parent)) {
    return (node.propertyName ?? node.name).getText() === "length" ? DESTRUCTURED_LENGTH : null;
  }
  if (ts.isPropertyAccessExpression(node)) return accessFault(node, checker);
  if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) return calledFault(node.expression.text);
  if (ts.isArrayLiteralExpression(node) && node.elements.some((each) => isNothing(each, checker)))
    return "a hole in a list";
  if (ts.isForOfStatement(node) && hasHoles(node.expression, checker)) return LENGTH_WITH_HOLES;
  if (ts.isFunctionLike(node)) {
    const signature = checker.getSignatureFromDeclaration(node);
    return signature !== undefined && isNullAndUndefined(signature.getReturnType()) ? BOTH_NIL : null;
  }
  if (ts.isParameter(node) || ts.isVariableDeclaration(node) || ts.isPropertySignature(node)) {
    return isNullAndUndefined(checker.getTypeAtLocation(node)) ? BOTH_NIL : null;
  }
  return null;
}

/** What decides where a node goes on. */
function conditionOf(node: ts.Node): ts.Expression | undefined {
  if (ts.isIfStatement(node) || ts.isWhileStatement(node) || ts.isDoStatement(node)) return node.expression;
  if (ts.isForStatement(node) || ts.isConditionalExpression(node)) return node.condition;
  if (ts.isPrefixUnaryExpression(node))
    return node.operator === ts.SyntaxKind.ExclamationToken ? node.operand : undefined;
  return ts.isBinaryExpression(node) && LOGICAL.has(node.operatorToken.kind) ? node.left : undefined;
}

const LOGICAL = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.AmpersandAmpersandEqualsToken,
  ts.SyntaxKind.BarBarEqualsToken,
]);

/** What Lua's patterns and regular expressions share: literals, digits, sets, captures, and repetitions of one character. */
const PATTERN = /^\^(?:\(|\)(?![*+?])|(?:%d|%[^a-zA-Z]|\[\^?(?:%[dw]|[^\]%\\])+\]|[^^$()%.[\]*+?|{}\\-])[*+?]?)*\$?$/;

function patternFault(pattern: string): string | null {
  // As \w, a set with %w has _ in it.
  const sets = pattern.match(/\[[^\]]*\]/g) ?? [];
  const isShared = PATTERN.test(pattern) && sets.every((set) => !set.includes("%w") || set.includes("_"));
  return isShared ? null : "a pattern that is another one in Lua: see lua.ts";
}

const BOTH_NIL = "null and undefined, which are both nil";
const NUMBER_TEXT = "a text of something else than a text: Lua writes a number with 14 digits; use textOf of lua.ts";
const DESTRUCTURED_LENGTH = "a destructured length, which is nil: write list.length";
const LENGTH_WITH_HOLES = "a list that may have holes, whose length Lua does not know";

function accessFault(node: ts.PropertyAccessExpression, checker: ts.TypeChecker): string | null {
  const { expression: object, name } = node;
  const text = object.getText();
  if (text === "Math") return MATH.has(name.text) ? null : `Math.${name.text}`;
  if (text === "Number") return NUMBER.has(name.text) ? null : `Number.${name.text}`;
  if (text === "Object" || text === "Array" || text === "JSON") return `${text}.${name.text}`;
  const type = checker.getTypeAtLocation(object);
  if (isTextType(type)) return name.text === "length" ? null : `the method ${name.text} of a text: use lua.ts`;
  if (!checker.isArrayType(type) && !checker.isTupleType(type)) return null;
  if (name.text === "length") return hasHoles(object, checker) ? LENGTH_WITH_HOLES : null;
  if (!LIST_METHODS.has(name.text)) return `the method ${name.text} of a list: write a loop`;
  return name.text === "join" && !isTextType(itemOf(type, checker)) ? NUMBER_TEXT : null;
}

function calledFault(name: string): string | null {
  if (name === "String") return NUMBER_TEXT;
  return name === "Number" || name === "parseInt" || name === "structuredClone" ? `${name}: use lua.ts` : null;
}

function itemOf(type: ts.Type, checker: ts.TypeChecker): ts.Type {
  return checker.getTypeArguments(type as ts.TypeReference)[0] ?? type;
}

function hasHoles(list: ts.Expression, checker: ts.TypeChecker): boolean {
  const type = checker.getTypeAtLocation(list);
  return checker.isArrayType(type) && partsOf(itemOf(type, checker)).some(isNothingType);
}

const partsOf = (type: ts.Type): readonly ts.Type[] => (type.isUnion() ? type.types : [type]);
const isNothingType = ({ flags }: ts.Type) => (flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Null)) !== 0;
const isTextType = (type: ts.Type) => partsOf(type).every(({ flags }) => (flags & ts.TypeFlags.StringLike) !== 0);
const isText = (node: ts.Expression, checker: ts.TypeChecker) => isTextType(checker.getTypeAtLocation(node));
const isNothing = (node: ts.Expression, checker: ts.TypeChecker) =>
  partsOf(checker.getTypeAtLocation(node)).some(isNothingType);

function isBoolean(node: ts.Expression, checker: ts.TypeChecker): boolean {
  return partsOf(checker.getTypeAtLocation(node)).every(({ flags }) => (flags & ts.TypeFlags.BooleanLike) !== 0);
}

function isNumber(node: ts.Expression, checker: ts.TypeChecker): boolean {
  return partsOf(checker.getTypeAtLocation(node)).every(({ flags }) => (flags & ts.TypeFlags.NumberLike) !== 0);
}

function isNullAndUndefined(type: ts.Type): boolean {
  const flags = partsOf(type).reduce((all, part) => all | part.flags, 0);
  return (flags & ts.TypeFlags.Null) !== 0 && (flags & ts.TypeFlags.Undefined) !== 0;
}
