// One section in a process of its own: `section-process.ts NAME`.

import { answerParent } from "./children.ts";
import type { Measured, Section } from "./section.ts";

// Each server and each child process of a section ends with this process: by a listener of its own.
process.setMaxListeners(32);
const { section }: { readonly section: Section } = await import(`./sections/${process.argv[2]}.ts`);
answerParent((isShort: boolean): Promise<Measured> => section.measure(isShort));
