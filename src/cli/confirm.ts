// A question at a terminal. A script is never asked: it passes --yes.

import { once } from "node:events";
import { createInterface } from "node:readline/promises";
import { MisuseError } from "../kernel/errors.ts";

/**
 * Whether the answer is yes.
 *
 * @throws MisuseError `invalid-option` where there is no terminal to ask at
 */
export async function isConfirmed(question: string): Promise<boolean> {
  const { stdin: input, stderr: output } = process;
  if (!input.isTTY || !output.isTTY) {
    const expected = "this option, because there is no terminal to ask at";
    const hint = "Nothing was changed. Say --yes to go ahead.";
    throw new MisuseError("invalid-option", { path: "--yes", expected, got: "nothing", hint });
  }
  const asked = createInterface({ input, output });
  try {
    // Ctrl-C and Ctrl-D reject the question, or, in older versions of Node, only close it.
    const answer = await Promise.race([asked.question(`${question} [y/N] `), once(asked, "close")]).catch(() => null);
    return typeof answer === "string" && /^y(es)?$/i.test(answer.trim());
  } finally {
    asked.close();
  }
}
