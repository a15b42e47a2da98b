// Loaded before each test file: one that does not end is ended, and says what keeps it. The test runner has no bound for
// a file whose tests are over, such as one in which a failed test left a client that connects again and again.

import "./loader.js";

if (process.env.NODE_TEST_CONTEXT !== undefined) {
  const minutes = Number(process.env.TOLLGATE_FILE_MINUTES);
  const end = () => {
    const open = process.getActiveResourcesInfo().join(", ");
    console.error(`${process.argv[1]} did not end within ${minutes} minutes: it waits for ${open}`);
    process.exit(1);
  };
  setTimeout(end, minutes * 60_000).unref();
}
