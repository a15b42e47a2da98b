// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "ff89b8ec470046f6e5b140eace80630b6d8362a7",
    "clock": "1c7e5c8c169ef00effcce317e375e203a40909e5"
  },
  "beat": {
    "server": "f7e3afe8e42f2072ffdba4189d28ded56d531ece",
    "clock": "58095143c8765cb854be133fcd20cb8d43adc308"
  }
} as const;
