// `tollgate serve` and the commands with a decision log in Redis.

import { startRedis } from "../servers.ts";
import { PASSWORD, testSharedLog } from "./shared-log.ts";

const server = await startRedis("--requirepass", PASSWORD);
const label = `redis://127.0.0.1:${server.port}`;
const url = label.replace("//", `//:${PASSWORD}@`);
const startAgain = () => server.restart();
testSharedLog("Redis", { url, label, kill: server.kill, start: startAgain }, "it has no key {tollgate:log}:meta");
