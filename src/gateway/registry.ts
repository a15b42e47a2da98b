// What is known of the servers and their tools, for people: what passed by, with bounds.

import { type Clock, systemClock } from "../clock.ts";
import type { GatewayView, Registry, ServerConfig, ServerView, ToolView } from "./config/config.ts";

const MOST_TOOLS = 1_000;
const MOST_DESCRIPTION = 200;
/** A server, an underscore and a tool. */
const MOST_NAME = 149;
const MOST_LEFT_OUT = 1_000;

type Changing<Shown> = { -readonly [Key in keyof Shown]: Shown[Key] };

interface Known extends Changing<Omit<ServerView, "tools">> {
  readonly tools: Map<string, Changing<ToolView>>;
}

export function createRegistry(
  servers: readonly Pick<ServerConfig, "name" | "url">[],
  clock: Clock = systemClock,
): Registry {
  const known = new Map(servers.map(({ name, url }) => [name, unknownServer(name, url)]));
  const leftOut = new Map<string, GatewayView["leftOut"][number]>();
  return {
    sawTools(server, tools) {
      for (const { name, description } of tools) {
        const tool = toolOf(known.get(server), name);
        if (tool !== null) tool.description = description?.slice(0, MOST_DESCRIPTION) ?? null;
      }
    },
    sawCall(server, name, isAllowed) {
      const tool = toolOf(known.get(server), name);
      if (tool === null) return;
      tool.calls++;
      if (!isAllowed) tool.denied++;
      tool.lastCallAtMs = clock.nowMs();
    },
    sawServer(name, error) {
      const server = known.get(name);
      if (server === undefined) return;
      server.state = error === null ? "up" : "down";
      server.error = error;
      if (error !== null) server.lastErrorAtMs = clock.nowMs();
    },
    leftOut(server, tool, reason) {
      if (leftOut.size < MOST_LEFT_OUT) leftOut.set(JSON.stringify([server, tool]), { server, tool, reason });
    },
    view() {
      const items = [...known.values()].map((server) => ({ ...server, tools: [...server.tools.values()] }));
      return structuredClone({ items, leftOut: [...leftOut.values()] });
    },
  };
}

/** The address is shown without what could be a secret. */
function unknownServer(name: string, { origin, pathname }: URL): Known {
  const url = `${origin}${pathname}`;
  return { name, url, state: "unknown", error: null, lastErrorAtMs: null, tools: new Map() };
}

/** `null`: there is no room for one more. */
function toolOf(server: Known | undefined, name: string): Changing<ToolView> | null {
  const known = server?.tools.get(name);
  if (known !== undefined || server === undefined) return known ?? null;
  if (server.tools.size >= MOST_TOOLS || name.length > MOST_NAME) return null;
  const tool = { name, description: null, calls: 0, denied: 0, lastCallAtMs: null };
  server.tools.set(name, tool);
  return tool;
}
