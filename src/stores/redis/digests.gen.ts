// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "3bf735b0da5a1ed7f1147be74ab4c4e5cf256e5d",
    "clock": "ea13eebc899dba694738cc877d7189e295af3dd7"
  },
  "beat": {
    "server": "03a0b022b6d50fdbb12e4dc39ba05d19d9136ac9",
    "clock": "d3b66d584806ff7796ea067c4304bae35cfa26dc"
  }
} as const;
