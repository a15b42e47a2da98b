// What is told of the servers of an MCP gateway, and of their tools. It is of no runtime: the console reads it, too.

/** What a gateway in the same process tells of its servers. */
export interface GatewayView {
  readonly items: readonly GatewayServer[];
  /** Tools that clients cannot see, and why. */
  readonly leftOut: readonly { readonly server: string; readonly tool: string; readonly reason: string }[];
}

export interface GatewayServer {
  readonly name: string;
  /** Without what could be a secret. */
  readonly url: string;
  /** How its last answer was. */
  readonly state: "up" | "down" | "unknown";
  readonly error: string | null;
  readonly lastErrorAtMs: number | null;
  readonly tools: readonly GatewayTool[];
}

export interface GatewayTool {
  readonly name: string;
  readonly description: string | null;
  /** With denied ones. */
  readonly calls: number;
  readonly denied: number;
  readonly lastCallAtMs: number | null;
}
