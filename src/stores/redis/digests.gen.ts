// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "e2870eef303ea4a9e4d83c6a085f41154763b6c9",
    "clock": "35df3385fe4009c21311ef9dbed5692727763621"
  },
  "beat": {
    "server": "f7e3afe8e42f2072ffdba4189d28ded56d531ece",
    "clock": "58095143c8765cb854be133fcd20cb8d43adc308"
  }
} as const;
