// A server over stdio made with the official SDK: one tool, whose results have a schema.

import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";

const server = new McpServer({ name: "search", version: "1.0.0" });
const schemas = { inputSchema: { query: z.string() }, outputSchema: { hits: z.number() } };
server.registerTool("search", schemas, async ({ query }) => ({
  content: [{ type: "text", text: query }],
  structuredContent: { hits: query.length },
}));
await server.connect(new StdioServerTransport());
