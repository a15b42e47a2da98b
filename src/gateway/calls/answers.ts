// What the client and the model read of Tollgate in place of, or beside, a tool's result: a denial, a fault, a notice.

import { fieldsOf } from "../../adapters/guard.ts";
import type { Denied } from "../../kernel/decision.ts";
import type { Message, Origin, Reply } from "../contract.ts";
import { addition, appending, type Change } from "../json/splice.ts";
import { errorReply, jsonReply, RPC } from "../refusal.ts";
import type { CallsConfig } from "../config/config.ts";

/** JSON-RPC leaves such codes to applications. */
const TOO_MANY = 429;
const FAULT_TEXT =
  "This call was not made: its limits could not be checked. Try again in a minute, or go on without it.";

const OPEN_LIST = 0x5b;
const OPEN_OBJECT = 0x7b;

/** A denial has no `structuredContent`: clients compare that with the tool's schema, and throw. */
export function denialReply(message: Message, origin: Origin, decision: Denied): Reply {
  const fields = fieldsOf(decision);
  if (wantsTask(message, origin)) {
    const error = { code: TOO_MANY, message: decision.message, data: { source: "tollgate", ...fields } };
    return jsonReply(`{"jsonrpc":"2.0","id":${message.rawId},"error":${JSON.stringify(error)}}`);
  }
  return errorResult(message, origin, decision.message, { "tollgate/denial": fields });
}

/** Of a call that could not be judged. The reason is for the log. */
export function faultReply(message: Message, origin: Origin, code: string): Reply {
  if (wantsTask(message, origin)) return errorReply(message.rawId, RPC.serverFailed, FAULT_TEXT);
  return errorResult(message, origin, FAULT_TEXT, { "tollgate/fault": { code } });
}

/** Of a call whose server is down, for clients that know the server by its tools alone. */
export function lostReply(message: Message, origin: Origin, text: string): Reply {
  if (wantsTask(message, origin)) return errorReply(message.rawId, RPC.serverFailed, text);
  return errorResult(message, origin, text, { "tollgate/fault": { code: "server-failed" } });
}

/** A legacy client that asked for a task does not take a result. */
function wantsTask({ spans }: Message, { era }: Origin): boolean {
  return era === "legacy" && spans.has("params.task");
}

function errorResult({ rawId }: Message, { era }: Origin, text: string, meta: object): Reply {
  const type = era === "modern" ? { resultType: "complete" } : {};
  const result = { ...type, isError: true, content: [{ type: "text", text }], _meta: meta };
  return jsonReply(`{"jsonrpc":"2.0","id":${rawId},"result":${JSON.stringify(result)}}`);
}

/** The changes that put a notice into a complete result; none where the result has no list of content. */
export function noticeChanges({ bytes, spans }: Message, notice: string, where: CallsConfig["notices"]): Change[] {
  const result = spans.get("result");
  const content = spans.get("result.content");
  const meta = spans.get("result._meta");
  if (result === undefined || content === undefined || bytes[content.from] !== OPEN_LIST) return [];
  const text = JSON.stringify(notice);
  const changes: Change[] = [];
  if (meta === undefined) changes.push(addition(bytes, result, "_meta", `{"tollgate/notice":${text}}`));
  else if (bytes[meta.from] === OPEN_OBJECT) changes.push(addition(bytes, meta, "tollgate/notice", text));
  if (where === "content") {
    const block = { type: "text", text: notice, annotations: { audience: ["assistant"] } };
    changes.push(appending(bytes, content, JSON.stringify(block)));
  }
  return changes.sort((one, other) => one.at.from - other.at.from);
}
