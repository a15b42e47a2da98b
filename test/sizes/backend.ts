// What programs that are bundled for other platforms ask: the service, and Redis over HTTP.

import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { createService } from "tollgate/service";
import { memoryStore } from "tollgate/stores/memory";
import { anyRedis } from "../servers.ts";

const POLICY = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1 }] } as const;

export interface Backend extends AsyncDisposable {
  readonly url: string;
}

export async function startBackend(): Promise<Backend> {
  const redis = (await anyRedis()).ioredis();
  const service = createService({ policy: POLICY, store: memoryStore(), keys: false });
  const http = createServer(async (request, response) => {
    const body = await text(request);
    if (request.url === "/redis") {
      const [command, ...args] = JSON.parse(body);
      const answer = await redis.call(command, ...args).then(
        (reply) => ({ reply }),
        (error) => ({ error: error.message }),
      );
      response.end(JSON.stringify(answer));
      return;
    }
    const { method = "GET" } = request;
    const headers = { "content-type": "application/json" };
    const answer = await service.fetch(
      new Request(`http://service${request.url}`, { method, headers, ...(method === "POST" && { body }) }),
    );
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port } = http.address() as { readonly port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      http.closeAllConnections();
      http.close();
      await service.close();
    },
  };
}
