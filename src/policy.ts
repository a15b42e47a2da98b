// Policies in files and texts, and what may be wrong with one, as `tollgate/policy`. The root has none of it, so that a program
// whose policy is in its code needs no file system and no YAML.

export { loadPolicy } from "./policy-file/file.ts";
export { parsePolicy } from "./policy-file/text.ts";
export { type WatchOptions, watchPolicy } from "./policy-file/watch.ts";
export { type PolicyWarning, policyWarnings } from "./policy-warnings/warnings.ts";
