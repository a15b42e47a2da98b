// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "bb9a97d60904514b41c3fcc1ee3a523dd52803ce",
    "clock": "ba88946ab9d1024b4e20c664ee0f75a56429f50f"
  },
  "beat": {
    "server": "0ab861079a9bed4a3656d1927ef21f70da5df958",
    "clock": "4de98e91dcf0f62374b246dda06c515bf52e63cc"
  }
} as const;
