// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "4fb034d30468f66d76432ac514fbf6b8349c104c",
    "clock": "dd9b543c5b3d69fc2747dbd0757a49f99c68ef1b"
  },
  "beat": {
    "server": "03a0b022b6d50fdbb12e4dc39ba05d19d9136ac9",
    "clock": "d3b66d584806ff7796ea067c4304bae35cfa26dc"
  }
} as const;
