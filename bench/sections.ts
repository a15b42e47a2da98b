// The sections of a run, in their order.

import type { Section } from "./section.ts";

export const NAMES = [
  "redis-one-limit",
  "redis-three-limits",
  "redis-inside",
  "redis-bytes",
  "latency",
  "memory",
  "memory-bytes",
  "in-process",
  "sqlite",
  "postgres",
  "live-redis",
  "live-sqlite",
  "live-postgres",
] as const;

export async function sectionNamed(name: string): Promise<Section> {
  if (!NAMES.some((each) => each === name))
    throw new Error(`no section is named ${name}; there are ${NAMES.join(", ")}`);
  const { section } = (await import(`./sections/${name}.ts`)) as { readonly section: Section };
  return section;
}
