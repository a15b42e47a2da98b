// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "cb74e7b0828c22170fc523cbbf042ae6f838fe19",
    "clock": "4bd310f9341eb35547e974c06b59c6aa388f980f"
  },
  "beat": {
    "server": "f7e3afe8e42f2072ffdba4189d28ded56d531ece",
    "clock": "58095143c8765cb854be133fcd20cb8d43adc308"
  }
} as const;
