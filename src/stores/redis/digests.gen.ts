// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "f0fa0cfb84a1765238bd92d2c4f87c7510e9ff98",
    "clock": "f5b18ef33dcf82089cbbb302f2b7d68c66344209"
  },
  "beat": {
    "server": "0ab861079a9bed4a3656d1927ef21f70da5df958",
    "clock": "4de98e91dcf0f62374b246dda06c515bf52e63cc"
  }
} as const;
