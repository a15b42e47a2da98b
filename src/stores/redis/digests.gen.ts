// Made from the sources in script/ by `npm run lua`. Do not edit.

/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */
export const DIGESTS = {
  "apply": {
    "server": "8bf2c79eee1bbadd65c3fa5b6664ae5fb3a65a66",
    "clock": "684e240eda3ec3a211af1b42544fd466747882a7"
  },
  "beat": {
    "server": "c6ab13f507ab5ad4dcd46705d33f309af3f19c9b",
    "clock": "b12173a738578999a09bcc8db57f4b9f1c37d5fc"
  }
} as const;
