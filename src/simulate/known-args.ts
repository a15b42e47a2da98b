// Arguments as short names: equal where a limiter's hash of them is equal. A hash of each would take longer than the decision.

import { argsText, KnownArgs } from "../kernel/args.ts";
import type { Call } from "../kernel/call.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { digest } from "../kernel/key.ts";

/** Most texts that have a name, and the longest of them. All others are hashed. */
const MAX_TEXTS = 2_000_000;
const MAX_LENGTH = 1_024;

export class ArgsNames {
  readonly #policy: CompiledPolicy;
  readonly #isLookedAt: boolean;
  readonly #names = new Map<string, KnownArgs>();

  constructor(policy: CompiledPolicy) {
    this.#policy = policy;
    this.#isLookedAt = policy.limits.some(({ dimensions }) => dimensions.has("args"));
  }

  /** The call with its arguments by name; without them where no limit looks at them. */
  of(call: Call): Call {
    const { args } = call;
    if (args === undefined || KnownArgs.is(args)) return call;
    if (!this.#isLookedAt) return { ...call, args: undefined };
    return { ...call, args: this.#named(argsText(args, this.#policy.toolNamed(String(call.tool))?.ignoreArgs)) };
  }

  #named(text: string): KnownArgs {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    if (text.length > MAX_LENGTH || this.#names.size >= MAX_TEXTS) return new KnownArgs(digest(text));
    const named = new KnownArgs(`args ${this.#names.size}`);
    this.#names.set(text, named);
    return named;
  }
}
