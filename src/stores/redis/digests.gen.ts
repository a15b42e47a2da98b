// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "47dd2474b1c20121394f9bcde0fc9d624a40a1c0",
    "clock": "4e85261dc534aa75970c9ebd5cc3338c3f84eebc"
  },
  "beat": {
    "server": "f7e3afe8e42f2072ffdba4189d28ded56d531ece",
    "clock": "58095143c8765cb854be133fcd20cb8d43adc308"
  }
} as const;
