// What the test command prints: one line per file when it ends, each failure in full with what its file printed, and the
// counts at the end, which .ci/run reads.
import { relative } from "node:path";
import { inspect } from "node:util";

/** Characters of a file's output that are kept, in case it fails. */
const MAX_OUTPUT = 20_000;

// biome-ignore lint/style/noDefaultExport: the test runner takes the default export.
export default async function* (events) {
  const outputs = new Map();
  for await (const { type, data } of events) {
    const file = data?.entryFile ?? data?.file;
    // The runner has a test of its own for each file. Only the tests inside have an entry file.
    const isWholeFile = data?.entryFile === undefined && file !== undefined;
    if (type === "test:stdout" || type === "test:stderr" || (type === "test:diagnostic" && file !== undefined)) {
      outputs.set(file, `${outputs.get(file) ?? ""}${data.message.trimEnd()}\n`.slice(-MAX_OUTPUT));
    } else if (type === "test:complete" && isWholeFile) {
      yield `${data.details.passed ? "✔" : "✖"} ${relative("", file)} ${seconds(data.details.duration_ms)}\n`;
    } else if (type === "test:fail" && data.details.error.failureType !== "subtestsFailed") {
      yield failure(data, isWholeFile);
      if (isWholeFile) yield output(file, outputs);
    } else if (type === "test:summary" && file !== undefined) {
      if (!data.success) yield output(file, outputs);
      outputs.delete(file);
    } else if (type === "test:summary") {
      yield summary(data);
    }
  }
}

function failure({ name, file, line, column, details: { error } }, isWholeFile) {
  if (isWholeFile) return `\n✖ ${relative("", file)} as a whole failed\n`;
  const text = typeof error.cause === "string" ? error.cause : inspect(error.cause ?? error);
  return `\n✖ ${relative("", file)}:${line}:${column}\n  ${name}\n\n${text.replace(/^/gm, "  ")}\n\n`;
}

function output(file, outputs) {
  const text = outputs.get(file);
  return text === undefined ? "" : `  ${relative("", file)} printed:\n\n${text.trimEnd().replace(/^/gm, "  ")}\n\n`;
}

function summary({ counts, duration_ms }) {
  const shown = {
    tests: counts.tests,
    pass: counts.passed,
    fail: counts.failed,
    cancelled: counts.cancelled,
    skipped: counts.skipped,
  };
  const lines = Object.entries(shown).map(([name, count]) => `ℹ ${name} ${count}\n`);
  return `\n${lines.join("")}ℹ ${seconds(duration_ms)}\n`;
}

function seconds(ms) {
  return `${(ms / 1_000).toFixed(1)} s`;
}
