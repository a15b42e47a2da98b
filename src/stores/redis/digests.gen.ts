// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "897762b583c3e72afa8c8610a6374cb2592247ac",
    "clock": "eebdda75d1fe9de80e0547c0b7ffec4877cb1755"
  },
  "beat": {
    "server": "f7e3afe8e42f2072ffdba4189d28ded56d531ece",
    "clock": "58095143c8765cb854be133fcd20cb8d43adc308"
  }
} as const;
