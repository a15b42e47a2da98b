// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "209cb58bc0935d6b411ddeb30af705ffc80a9623",
    "clock": "9429aed97c159c196ea113b496de4d6e79fdf77c"
  },
  "beat": {
    "server": "03a0b022b6d50fdbb12e4dc39ba05d19d9136ac9",
    "clock": "d3b66d584806ff7796ea067c4304bae35cfa26dc"
  }
} as const;
