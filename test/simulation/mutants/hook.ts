// Plants one mutant: a source file of src is loaded with a fault in it. TOLLGATE_MUTANT names the mutant.

import { registerHooks } from "node:module";
import { MUTANTS } from "./mutants.ts";

const name = process.env.TOLLGATE_MUTANT ?? "";
const mutant = MUTANTS[name];
if (mutant === undefined) throw new Error(`there is no mutant ${name}`);
const { file, find, replace } = mutant;

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith(`/src/${file}`)) return loaded;
    const source = String(loaded.source);
    if (source.split(find).length !== 2) throw new Error(`the mutant ${name}: ${file} has not one place like ${find}`);
    return { ...loaded, source: source.replace(find, () => replace) };
  },
});
