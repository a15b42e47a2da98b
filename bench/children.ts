// Processes that run beside each other and answer questions. This file does not know what they do.

import { fork, type Serializable } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** Processes of one program. They end when this is disposed of, and with this process. */
export interface Children<Question, Answer> extends Disposable {
  /** Asks as many of them as there are questions, one question each, at once. */
  ask(questions: readonly Question[]): Promise<Answer[]>;
}

interface ChildrenOptions {
  readonly args?: readonly string[];
  readonly count?: number;
  /** Processes that live longer are ended. */
  readonly maxMs?: number;
}

/**
 * Starts processes of a program, and waits until each calls `answerParent`.
 *
 * @throws Error when one of them ends early
 */
export async function startChildren<Question, Answer>(
  program: URL,
  { args = [], count = 1, maxMs }: ChildrenOptions = {},
): Promise<Children<Question, Answer>> {
  const children = Array.from({ length: count }, () =>
    fork(fileURLToPath(program), args, { timeout: maxMs, stdio: ["ignore", "inherit", "inherit", "ipc"] }),
  );
  const end = () => {
    for (const child of children) child.kill();
  };
  process.once("exit", end);
  const ended = children.map(async (child) => {
    const [code, signal] = await once(child, "exit");
    return new Error(`a process of ${program.pathname} ended with ${code ?? signal}`);
  });
  const next = async (child: (typeof children)[number], i: number) => {
    const message = await Promise.race([once(child, "message"), ended[i]]);
    if (!Array.isArray(message)) throw message;
    return message[0] as Answer;
  };
  await Promise.all(children.map(next));
  return {
    async ask(questions) {
      const asked = children.slice(0, questions.length);
      const answers = Promise.all(asked.map(next));
      for (const [i, child] of asked.entries()) child.send(questions[i] as Serializable);
      return answers;
    },
    [Symbol.dispose]() {
      process.off("exit", end);
      end();
    },
  };
}

/** In a child: answers the questions of the process that started it, and ends with that process. */
export function answerParent<Question, Answer>(answer: (question: Question) => Answer | Promise<Answer>): void {
  // The servers of a process end with it when it exits in the ordinary way.
  process.once("SIGTERM", () => process.exit(1));
  process.on("disconnect", () => process.exit());
  process.on("message", async (question: Question) => process.send?.(await answer(question)));
  process.send?.("ready");
}
