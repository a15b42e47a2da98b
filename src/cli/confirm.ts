// A question to whoever sits at a terminal. A script is never asked: it has said what it wants.

import { once } from "node:events";
import { createInterface } from "node:readline/promises";

/** Whether the answer is yes; `true` where there is no terminal to ask at. */
export async function isConfirmed(question: string): Promise<boolean> {
  const { stdin: input, stderr: output } = process;
  if (!input.isTTY || !output.isTTY) return true;
  const asked = createInterface({ input, output });
  try {
    // Ctrl-C and Ctrl-D reject the question, or, in older versions of Node, only close it.
    const answer = await Promise.race([asked.question(`${question} [y/N] `), once(asked, "close")]).catch(() => null);
    return typeof answer === "string" && /^y(es)?$/i.test(answer.trim());
  } finally {
    asked.close();
  }
}
