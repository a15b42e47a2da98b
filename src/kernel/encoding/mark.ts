// The mark of a store as text: `m1 <incarnation> all|some`.

import type { MarkState } from "../state.ts";
import { isId } from "./scan.ts";

export function encodeMark({ incarnation, lost }: MarkState): string {
  return `m1 ${incarnation} ${lost}`;
}

export function decodeMark(text: string, expiresAtMs: number): MarkState | null {
  const [tag, incarnation, lost, ...rest] = text.split(" ");
  if (tag !== "m1" || !isId(incarnation) || (lost !== "all" && lost !== "some") || rest.length > 0) return null;
  return { kind: "mark", expiresAtMs, incarnation, lost };
}
