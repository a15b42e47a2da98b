// The sealed `requestState` of a call that waits for input: which hold goes on, and the server's own state. How a hold goes on is
// not known here.

import { createHash } from "node:crypto";
import { argsDigest } from "../../kernel/args.ts";
import type { Dimensions } from "../../kernel/call.ts";
import { digest } from "../../kernel/key.ts";
import type { Message, Origin, Seal } from "../contract.ts";
import { textOf } from "../message.ts";

/** How long a call waits for input with its slot. A claim of a round is kept as long. */
export const SUSPENDED_MS = 600_000;
/**
 * How old a state may be to go on. A minute less than a claim is kept, so that the clocks of two instances may differ by that: while a
 * state is young enough, its claim is still there.
 */
const YOUNG_MS = 540_000;
const CLOCKS_DIFFER_MS = 60_000;

export interface Round {
  readonly holdId: string;
  /** 1: the first time that the call was interrupted. */
  readonly round: number;
  /** Of the call as it began, without its tool. */
  readonly dimensions: Dimensions;
}

/** What a client has sent as `requestState`. */
export type Presented =
  /** Of another request, principal or key, or nothing that the gateway has made. */
  | { readonly is: "invalid" }
  /** `round` is `null` when it is too old to go on. */
  | { readonly is: "ours"; readonly round: Round | null; readonly serversOwn: string | null };

interface Content {
  readonly h: string;
  readonly r: number;
  readonly n: string;
  readonly q: string;
  readonly d: Dimensions;
  readonly u?: string;
}

/** @throws RangeError when the server's own state is too long */
export function sealState(
  seal: Seal,
  origin: Origin,
  request: string,
  round: Round,
  serversOwn: string | null,
): string {
  const { holdId: h, round: r, dimensions: d } = round;
  const own = serversOwn === null ? {} : { u: serversOwn };
  const content: Content = { h, r, n: origin.server, q: request, d, ...own };
  return seal.seal("state", JSON.stringify(content), boundTo(origin));
}

export function openState(seal: Seal, origin: Origin, request: string, token: string | null): Presented {
  const opened = token === null ? null : seal.open("state", token, boundTo(origin));
  if (opened === null) return { is: "invalid" };
  const { h, r, n, q, d, u = null } = JSON.parse(opened.content) as Content;
  if (n !== origin.server || q !== request) return { is: "invalid" };
  const isYoung = opened.ageMs <= YOUNG_MS && opened.ageMs >= -CLOCKS_DIFFER_MS;
  return { is: "ours", round: isYoung ? { holdId: h, round: r, dimensions: d } : null, serversOwn: u };
}

/** What a request has to be the same in: its tool and arguments. */
export function requestDigest(message: Message, args: unknown): string {
  const name = textOf(message, "params.name");
  try {
    return digest([name, argsDigest(args)]);
  } catch {
    // They are past the bounds of that.
    const span = message.spans.get("params.arguments");
    const bytes = message.bytes.subarray(span?.from ?? 0, span?.to ?? 0);
    return digest([name, createHash("sha256").update(bytes).digest("hex")]);
  }
}

function boundTo({ principal }: Origin): readonly (string | null)[] {
  return [principal.user, principal.tenant];
}
