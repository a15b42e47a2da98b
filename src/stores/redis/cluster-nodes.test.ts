import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { countSlots, formatSlots, mastersIn, slotsWithout } from "./cluster-nodes.ts";

const LINES = `
c3 [fd00::3]:7003@17003,three.example master - 0 1700000000000 3 connected 10923-16383
a1 10.0.0.1:7001@17001,,tls-port=0,shard-id=x myself,master - 0 1700000000000 1 connected 0-5459 5461 [5460->-b2] [9-<-b2]
b2 :7002@17002,two.example master,fail - 1700000000000 1700000000000 2 disconnected 5462-10922
a4 10.0.0.4:7004@17004 slave a1 0 1700000000000 1 connected
a5 10.0.0.5:7005@17005 slave,fail? a1 1700000000000 1700000000000 1 connected
a6 10.0.0.6:7006@17006 slave a1 0 1700000000000 1 disconnected
d7 10.0.0.7:7007@17007 master - 0 1700000000000 4 connected
`;

describe("the nodes of a cluster", () => {
  const masters = mastersIn(LINES);

  it("are masters with slots, in the order of these, with the replicas that can be reached", () => {
    assert.deepEqual(
      masters.map(({ address, host, isDown, replicas }) => [address, host, isDown, replicas.map((each) => each.host)]),
      [
        ["10.0.0.1:7001", "10.0.0.1", false, ["10.0.0.4"]],
        ["two.example:7002", "two.example", true, []],
        ["[fd00::3]:7003", "[fd00::3]", false, []],
      ],
    );
  });

  it("leave slots without a server, which are listed as ranges", () => {
    assert.deepEqual(slotsWithout(masters), [[5460, 5460]]);
    const up = masters.filter(({ isDown }) => !isDown);
    const missing = slotsWithout(up);
    assert.equal(formatSlots(missing), "5460, 5462-10922");
    assert.equal(countSlots(missing), 5_462);
    assert.equal(formatSlots(slotsWithout(up.slice(0, 1))), "5460, 5462-16383");
    assert.equal(formatSlots(slotsWithout([])), "0-16383");
  });
});
