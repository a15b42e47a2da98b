// Processes beside each other that take turns when they are told to. It does not know what they do.

import { fork, type Serializable } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** Processes of one program. */
export interface Children<Asked, Answer> {
  /** Asks as many of them as there are questions, each its own, all at once. */
  ask(questions: readonly Asked[]): Promise<Answer[]>;
  close(): void;
}

/** Starts so many, and waits until each has sent a first message. A process that ends early fails the caller. */
export async function startChildren<Asked, Answer>(
  program: URL,
  args: readonly string[],
  count: number,
): Promise<Children<Asked, Answer>> {
  const children = Array.from({ length: count }, () =>
    fork(fileURLToPath(program), args, { stdio: ["ignore", "inherit", "inherit", "ipc"] }),
  );
  const close = () => {
    for (const child of children) child.kill("SIGKILL");
  };
  process.once("exit", close);
  const ended = children.map((child) =>
    once(child, "exit").then(() => new Error(`a process of ${program.pathname} ended`)),
  );
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
    close() {
      process.off("exit", close);
      close();
    },
  };
}
