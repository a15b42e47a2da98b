// Says in one line that Node is too old, before anything is imported that such a Node cannot read.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 13)) {
  console.error(
    `tollgate needs Node 22.13 or newer, and this is ${process.version}. Install a newer one: https://nodejs.org`,
  );
  process.exit(2);
}
