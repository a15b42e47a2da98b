// What `tollgate serve` adds to a service: the console.

import type { ServicePart } from "../service/parts.ts";
import { consoleFiles } from "./console.ts";

export async function servedParts({ console }: { readonly console: boolean }): Promise<readonly ServicePart[]> {
  const [{ consolePart }, { meRoute }] = await Promise.all([
    import("../service-log/console.ts"),
    import("../service-log/me.ts"),
  ]);
  return [{ routes: [meRoute(null)] }, ...(console ? [consolePart(consoleFiles)] : [])];
}
