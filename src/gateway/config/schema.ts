// The keys of the gateway's file, and what each may be. What they require of one another is checked in file.ts.

import * as v from "valibot";
import { parseDuration } from "../../kernel/duration.ts";
import { type Entries, mapOf, type Output, unionByKey } from "../../kernel/policy/schema-kinds.ts";
import { checkedText, listOf, map, object, oneOf, text, whole } from "../../kernel/policy/schema-parts.ts";

const MOST_SERVERS = 100;
const MOST_NAMES = 1_000;
const MOST_DIMENSIONS = 32;
const MOST_IN_FLIGHT = 10_000;
const MOST_WAIT_MS = 60_000;

const SECRET = "{ env: NAME } or { file: PATH }";
const HEADER = "the name of a header";
const SOURCE = "{ header: NAME }, { meta: FIELD }, { claim: NAME } or { value: TEXT }";
const AUTH = "{ keys }, { jwt } or { proxy }";
const CREDENTIALS = "none, forward, or { header, env } or { header, file } with a prefix";

const short = (what: string) => text(/^.{1,1024}$/, what);
const header = text(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, HEADER);
const variable = text(/^[A-Za-z_]\w{0,127}$/, "the name of an environment variable");
const path = short("the path of a file");
const address = checkedText(
  /^https?:\/\/\S{1,2000}$/,
  "an address such as https://mcp.example.com/mcp",
  (value) => URL.canParse(value) && new URL(value).hash === "",
);

/** A secret never stands in the file itself. */
function secret<const More extends Entries>(what: string, more: More) {
  return unionByKey(what, {
    env: object(what, { ...more, env: variable }),
    file: object(what, { ...more, file: path }),
  });
}

const isOptional = v.optional(v.boolean("true or false"));
const proxy = object("{ secret, user, tenant }", {
  secret: secret("{ header, env } or { header, file }", { header }),
  user: header,
  tenant: v.optional(header),
});
const jwt = object("{ issuer, audience, jwks }", {
  issuer: short("the issuer of tokens"),
  audience: short("the audience of tokens"),
  jwks: v.union(
    [address, object("{ file: PATH }", { file: path })],
    "the address of the issuer's keys, or { file: PATH }",
  ),
});

const source = unionByKey(SOURCE, {
  header: object(SOURCE, { header }),
  meta: object(SOURCE, { meta: short("a field of _meta") }),
  claim: object(SOURCE, { claim: short("a claim of tokens") }),
  value: object(SOURCE, { value: text(/^\P{Cc}{1,256}$/u, "1 to 256 characters") }),
});

const server = object("{ url, credentials, maxInFlight }", {
  url: address,
  credentials: v.optional(
    v.union(
      [
        v.picklist(["none", "forward"], CREDENTIALS),
        secret(CREDENTIALS, { header, prefix: v.optional(short("a text before the secret")) }),
      ],
      CREDENTIALS,
    ),
  ),
  maxInFlight: v.optional(whole(1, MOST_IN_FLIGHT)),
});

const names = (what: string) => listOf(short(what), `a list: ${what}`, MOST_NAMES, "names");
const SERVERS = "servers by name";

export const gatewaySchema = object("{ version, servers, … }", {
  version: v.literal(1, "1"),
  listen: v.optional(
    object("{ host, port, hosts, origins, url, tls }", {
      host: v.optional(short("an address of this machine")),
      port: v.optional(whole(0, 65_535)),
      hosts: v.optional(names("a name that clients use, such as mcp.example.com")),
      origins: v.optional(names("the origin of a page, such as https://app.example.com")),
      url: v.optional(address),
      tls: v.optional(object("{ cert, key }", { cert: path, key: path })),
    }),
  ),
  secret: v.optional(
    v.union([secret(SECRET, {}), listOf(secret(SECRET, {}), SECRET, 16, "secrets")], `${SECRET}, or a list of them`),
  ),
  auth: v.optional(
    unionByKey(AUTH, {
      keys: object("{ keys, optional }", { keys: path, optional: isOptional }),
      jwt: object("{ jwt, optional }", { jwt, optional: isOptional }),
      proxy: object("{ proxy, optional }", { proxy, optional: isOptional }),
    }),
  ),
  identity: v.optional(
    map(
      text(/^[a-z][a-z0-9_]{0,31}$/, "a dimension (a-z, 0-9, _; at most 32)"),
      source,
      "sources by dimension",
      MOST_DIMENSIONS,
    ),
  ),
  notices: v.optional(oneOf("meta", "content")),
  maxWait: v.optional(
    checkedText(
      /^\d+\w+$/,
      "a duration such as 5s, at most 1m",
      (value) => (parseDuration(value) ?? Infinity) <= MOST_WAIT_MS,
    ),
  ),
  servers: v.pipe(
    mapOf(SERVERS, text(/^[a-z0-9-]{1,20}$/, "a name of a-z, 0-9 and -, at most 20 characters"), server),
    v.check((all) => Object.keys(all).length > 0, "at least one server"),
    v.check((all) => Object.keys(all).length <= MOST_SERVERS, `at most ${MOST_SERVERS} servers`),
  ),
});

/** A file as it is written. */
export type GatewayFile = Output<typeof gatewaySchema>;
export type SecretFrom = { readonly env: string } | { readonly file: string };
