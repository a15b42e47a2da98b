// How a client begins: all servers are asked at once, and what they agree to is one answer.

import { randomId } from "../../ids.ts";
import type { Message } from "../contract.ts";
import { SESSION_HEADER } from "../http/headers.ts";
import { jsonOf, textOf } from "../message.ts";
import { jsonReply, Refusal, RPC } from "../refusal.ts";
import { type Answered, asRequest, type Outcome, outcomeOf, resultOf, UnusableError } from "./ask.ts";
import type { MergedAsked, MergedRoom } from "./asked.ts";
import { beginSession, type Member } from "./session.ts";

const MOST_INSTRUCTIONS = 16_384;
const MOST_INSTRUCTIONS_OF_ALL = 65_536;
const SERVER_INFO = { name: "tollgate", version: "1" };

type Agreed<Value> = Outcome<Value> & { readonly value: Value };

/** Answers `initialize`. @throws Refusal where no server agrees */
export async function initialize(merged: MergedAsked, message: Message, room: MergedRoom): Promise<void> {
  const { exchange, principal } = merged;
  const agreed = await agreedBy({ ...merged, session: null, scope: randomId() }, message, room, initialized);
  const members = new Map(agreed.map(({ upstream, value }) => [upstream.config.name, value.member]));
  const [first = "", ...others] = [...members.values()].map(({ version }) => version);
  const token = beginSession(room.seal, principal, members);
  const result = {
    // Revisions are dates.
    protocolVersion: others.reduce((lowest, version) => (version < lowest ? version : lowest), first),
    capabilities: capabilitiesOf(agreed),
    serverInfo: SERVER_INFO,
    ...instructionsOf(agreed),
  };
  const { status, headers, body } = jsonReply(resultText(message, result));
  exchange.reply({ status, headers: { ...headers, [SESSION_HEADER]: token }, body });
}

/** Answers `server/discover`. @throws Refusal as `initialize` */
export async function discover(merged: MergedAsked, message: Message, room: MergedRoom): Promise<void> {
  const agreed = await agreedBy(merged, message, room, discovered);
  const [first, ...others] = agreed.map(({ value }) => value.versions);
  const result = {
    resultType: "complete",
    supportedVersions: first?.filter((version) => others.every((versions) => versions.includes(version))),
    capabilities: capabilitiesOf(agreed),
    ...instructionsOf(agreed),
    // The next client may meet other servers.
    ttlMs: 0,
    cacheScope: "private",
    _meta: { "io.modelcontextprotocol/serverInfo": SERVER_INFO },
  };
  merged.exchange.reply(jsonReply(resultText(message, result)));
}

async function agreedBy<Value>(
  merged: MergedAsked,
  message: Message,
  room: MergedRoom,
  read: (answered: Answered) => Value,
): Promise<Agreed<Value>[]> {
  const outcomes = await Promise.all(
    [...room.upstreams.values()].map((upstream) =>
      outcomeOf(merged, upstream, room, async (signal) => {
        return read(await resultOf(asRequest(merged, upstream, message, signal), room));
      }),
    ),
  );
  const agreed = outcomes.filter((outcome) => outcome.value !== null) as Agreed<Value>[];
  if (agreed.length > 0) return agreed;
  const reasons = outcomes.map(({ reason }) => reason).join(" ");
  throw new Refusal(RPC.serverFailed, `No server can be used: ${reasons}`, message.rawId);
}

function initialized({ said, headers }: Answered) {
  const version = textOf(said, "result.protocolVersion");
  if (version === null) throw new UnusableError("named no version of the protocol.");
  const given = headers[SESSION_HEADER];
  const about = aboutOf(said);
  const member: Member = {
    serversOwn: typeof given === "string" ? given : null,
    version,
    hasLogging: about.hasLogging,
  };
  return { ...about, member };
}

function discovered({ said }: Answered) {
  const versions = jsonOf(said, "result.supportedVersions");
  const isList = Array.isArray(versions) && versions.every((version) => typeof version === "string");
  if (!isList) throw new UnusableError("named no version of the protocol.");
  return { ...aboutOf(said), versions: versions as readonly string[] };
}

function aboutOf(said: Message) {
  const capabilities = (jsonOf(said, "result.capabilities") ?? {}) as {
    readonly [Name in "tools" | "logging"]?: unknown;
  };
  if (capabilities.tools === undefined) throw new UnusableError("has no tools.");
  return {
    hasLogging: capabilities.logging !== undefined,
    instructions: textOf(said, "result.instructions")?.slice(0, MOST_INSTRUCTIONS) ?? "",
  };
}

function capabilitiesOf(agreed: readonly Agreed<{ readonly hasLogging: boolean }>[]) {
  const hasLogging = agreed.some(({ value }) => value.hasLogging);
  return { tools: { listChanged: true }, ...(hasLogging ? { logging: {} } : {}) };
}

/** Of all servers that have some, each under its name. */
function instructionsOf(agreed: readonly Agreed<{ readonly instructions: string }>[]) {
  const parts = agreed.flatMap(({ upstream, value: { instructions } }) => {
    return instructions === "" ? [] : [`# ${upstream.config.name}\n\n${instructions}`];
  });
  return parts.length === 0 ? {} : { instructions: parts.join("\n\n").slice(0, MOST_INSTRUCTIONS_OF_ALL) };
}

function resultText({ rawId }: Message, result: object): string {
  return `{"jsonrpc":"2.0","id":${rawId},"result":${JSON.stringify(result)}}`;
}
