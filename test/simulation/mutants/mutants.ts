// Faults that were planted, one at a time, to see that the simulator finds them: in the layers, failover, borrowing, the journal and
// receipts. Each replaces one place of a source file.

export interface Mutant {
  /** Under src/. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  "outage: the gate opens before the last bookings": {
    file: "layers/failover.ts",
    find: "} while (!this.#backlog.isEmpty);",
    replace: "} while (false);",
  },
  "outage: a call that may have been booked is forgotten": {
    file: "layers/failover/local-decisions.ts",
    find: "this.#backlog.addDoubtful(number, settled, atMs);",
    replace: "this.#backlog.answered(number);",
  },
  "outage: a doubtful denied call is booked": {
    file: "layers/failover/local-decisions.ts",
    find: "asSettled(request, isAdmitted(i), atMs, flows[i])",
    replace: "asSettled(request, true, atMs, flows[i])",
  },
  "outage: admitted calls are not remembered": {
    file: "layers/failover/local-decisions.ts",
    find: "this.#backlog.add(request, time.nowMs(), this.#fallback.flowsOf(request), time.isKnown === false);",
    replace: "",
  },
  "outage: denied calls are booked": {
    file: "layers/failover/local-decisions.ts",
    find: 'return reply.allowed || mode === "force";',
    replace: "return true;",
  },
  "outage: the store is never looked for again after a failed probe": {
    file: "layers/failover/outage.ts",
    find: "      await pause();\n    }\n  }\n\n  /** The state",
    replace: "      return;\n    }\n  }\n\n  /** The state",
  },
  "outage: pauses between probes are ten times as long": {
    file: "layers/failover/pace.ts",
    find: "const LEAST_PROBE_MS = 250;",
    replace: "const LEAST_PROBE_MS = 25_000;",
  },
  "outage: the local buckets survive it": {
    file: "layers/failover.ts",
    find: "this.#local.clear();",
    replace: "",
  },
  "outage: other instances do not count": {
    file: "layers/failover/members.ts",
    find: "const instances = this.#option ?? this.#highest;",
    replace: "const instances = 1;",
  },
  "outage: deny is ignored": {
    file: "layers/failover/shares.ts",
    find: 'return mode === "deny" || (mode === "share" && place === null) ? 0 : units;',
    replace: 'return mode === "share" && place === null ? 0 : units;',
  },
  "outage: a reload is ignored": {
    file: "layers/failover/shares.ts",
    find: "const withUnits = (units: number) => outage.withCapacity(slow, unitsIn(rule, place, units));",
    replace:
      "const withUnits = (units: number) => outage.withCapacity(slow, unitsIn(mode, place, Math.max(1, units)));",
  },
  "outage: the use that was seen is ignored": {
    file: "layers/failover/shares.ts",
    find: "const left = Math.max(0, capacity + grantedWhenSeen(view, limit, nowMs) - used);",
    replace: "const left = capacity;",
  },
  "outage: a stated overshoot is too small": {
    file: "layers/failover/shares.ts",
    find: 'return own + (instances - 1) * (mode === "share" ? Math.ceil(capacity / instances) : capacity);',
    replace: "return 0;",
  },
  "outage: units of a rate flow back beside those that the store counts": {
    file: "layers/failover/booking.ts",
    find: "outage.flowingLast(limit, book(limit, before?.level?.state, cost, atMs), endsAtMs);",
    replace: "book(limit, before?.level?.state, cost, atMs);",
  },
  "outage: an error of the server reaches the caller": {
    file: "layers/failover/outage.ts",
    find: 'new Set(["capacity", "too-many-holds", "overloaded"])',
    replace: 'new Set(["capacity", "too-many-holds", "overloaded", "read-only"])',
  },
  "outage: a lost permission counts as an outage": {
    file: "layers/failover/outage.ts",
    find: "return StoreError.isInstance(error) && error.transient && !OF_ONE_REQUEST.has(error.code);",
    replace: "return StoreError.isInstance(error) && !OF_ONE_REQUEST.has(error.code);",
  },
  "deadline: it begins when the batch is sent": {
    file: "layers/batch.ts",
    find: "const leftMs = this.deadlineMs === undefined ? undefined : Math.max(0, dueOf(batch) - this.#clock.nowMs());",
    replace: "const leftMs = this.deadlineMs;",
  },
  "deadline: a call waits twice as long": {
    file: "layers/failover.ts",
    find: "const dueMs = this.#clock.nowMs() + leftMs;",
    replace: "const dueMs = this.#clock.nowMs() + 2 * leftMs;",
  },
  "deadline: calls wait for a recovery without an end": {
    file: "layers/failover/outage.ts",
    find: "await isWithin(leftMs, this.#gate, { clock: this.#clock });",
    replace: "await this.#gate;",
  },
  "receipts: a closed batch is booked again": {
    file: "store/receipts.ts",
    find: "const isClosed = number < from || (before?.closed === true && !closes);",
    replace: "const isClosed = false;",
  },
  "receipts: what was booked before is booked again": {
    file: "store/receipts.ts",
    find: 'const wasBooked = (i: number) => before?.booked[i] === "1";',
    replace: "const wasBooked = (_i: number) => false;",
  },
  "receipts: a batch that an earlier process settled is asked for ten times": {
    file: "layers/failover/recovery.ts",
    find: 'if (refusal === "settled") return this.#settledBefore(batch, error);',
    replace: 'if (refusal === "settled") this.#refusals++;',
  },
  "receipts: all batches have one number": {
    file: "layers/failover/backlog.ts",
    find: "    const number = ++this.#number;\n    this.#sent.add(number);",
    replace: "    const number = 1;\n    this.#sent.add(number);",
  },
  "receipts: another incarnation is accepted": {
    file: "store/receipts.ts",
    find: 'if (mark?.kind !== "mark" || mark.incarnation !== incarnation) {',
    replace: 'if (mark !== undefined && mark?.kind !== "mark") {',
  },
  "loss: lost use is not restored": {
    file: "layers/failover/recovery.ts",
    find: "if (before !== undefined && incarnation !== before) {",
    replace: "if (before === undefined) {",
  },
  "loss: lost use is added up": {
    file: "kernel/bucket/late.ts",
    find: "const known = knownUnits(limit, contents, raise, nowMs);",
    replace: "const known = 0;",
  },
  "journal: booked entries stay in it": {
    file: "layers/failover/backlog.ts",
    find: "    this.#writeOrKeep([[batchKey(batch), null]]);\n",
    replace: "",
  },
  "journal: requests are not written": {
    file: "layers/failover/backlog.ts",
    find: "      this.#write([[key, booked]]);\n",
    replace: "",
  },
  "journal: sums are not written": {
    file: "layers/failover/backlog.ts",
    find: "      this.#write(sums);\n",
    replace: "",
  },
  "journal: sums that were made into a batch stay in it": {
    file: "layers/failover/backlog.ts",
    find: "this.#writeOrKeep([...gathered, ...made.map((batch) => [batchKey(batch), batch] as const)]);",
    replace: "this.#writeOrKeep(made.map((batch) => [batchKey(batch), batch] as const));",
  },
  "journal: what an earlier process admitted is not booked": {
    file: "layers/failover/backlog.ts",
    find: "for (const [key, text] of journal?.entries() ?? []) this.#load(key, text);",
    replace: "",
  },
  "borrow: units are returned twice": {
    file: "layers/borrow.ts",
    find: "    const due = this.#returns.takeDue(nowMs);",
    replace: "    const due = this.#returns.takeDue(nowMs);\n    this.#returns.add(due);",
  },
  "borrow: units are hoarded": {
    file: "layers/borrow/account.ts",
    find: "return this.#give(this.left > 2 * needed ? this.left - needed : 0);",
    replace: "return this.#give(0);",
  },
  "borrow: all free units may be lent": {
    file: "layers/borrow/account.ts",
    find: "const FREE_PER_BORROWED = 32;",
    replace: "const FREE_PER_BORROWED = 1;",
  },
  "borrow: a denied call gets no unit that is here": {
    file: "layers/borrow.ts",
    find: 'if (holders.length === 0 || request.mode === "force") return this.#withRetry(request, reply, endsAtMs);',
    replace: "return this.#withRetry(request, reply, endsAtMs);",
  },
  "borrow: a call takes no unit": {
    file: "layers/borrow/account.ts",
    find: "    this.left -= cost;\n    this.#used += cost;",
    replace: "    this.#used += cost;",
  },
  "borrow: units of a call that was denied are lost": {
    file: "layers/borrow/account.ts",
    find: "if (nowMs < this.#endsAtMs) this.left += cost;",
    replace: "",
  },
  "borrow: closing returns nothing": {
    file: "layers/borrow.ts",
    find: "const returned = this.#accounts.all().flatMap((account) => account.everything() ?? []);",
    replace: "const returned: never[] = [];",
  },
  "deny cache: a denial is kept for a minute": {
    file: "layers/deny-cache.ts",
    find: "const endsAtMs = seenAtMs + Math.min(this.#keptMs, unchangedMs(reply));",
    replace: "const endsAtMs = seenAtMs + 60_000;",
  },
  "deny cache: its age is not subtracted": {
    file: "layers/deny-cache.ts",
    find: "const since = (ms: number) => Math.max(0, ms - ageMs);",
    replace: "const since = (ms: number) => ms;",
  },
  "deny cache: a reset leaves denials": {
    file: "layers/deny-cache.ts",
    find: 'if (event.type === "grant" || event.type === "reset") this.#free(bucket);',
    replace: "void bucket;",
  },
  "deny cache: it ignores the cost": {
    file: "layers/deny-cache.ts",
    find: "      step.event.cost === event.cost &&\n",
    replace: "",
  },
  "stop: a grant outlives it": {
    file: "kernel/decide/judge.ts",
    find: "(capacity === 0 ? needed : needed - granted)",
    replace: "needed - granted",
  },
  "stop: `allow` outlives it in an outage": {
    file: "layers/failover/shares.ts",
    find: 'const rule = isStopped(limit) ? "deny" : mode;',
    replace: "const rule = mode;",
  },
  "stop: a reload keeps prepared calls": {
    file: "limiter/policy-change.ts",
    find: "  context.callCache = new CallCache(context.policy, context.prefix);\n",
    replace: "",
  },
  "close: it gives up what it admitted alone": {
    file: "layers/failover.ts",
    find: 'while (this.#outage.state === "away" && (hasMore || !this.#backlog.isEmpty)) {',
    replace: 'while (this.#outage.state === "new" && (hasMore || !this.#backlog.isEmpty)) {',
  },
  "once: a key is charged again": {
    file: "kernel/bucket/once.ts",
    find: "  const expiresAtMs = nowMs + waitMs + REMEMBERED_MS;",
    replace: "  const expiresAtMs = nowMs + waitMs + 200;",
  },
  "once: a kept answer is another call's": {
    file: "kernel/bucket/once.ts",
    find: "isTold: false };",
    replace: 'isTold: false, request: "other" };',
  },
  "batch: answers go to other callers": {
    file: "layers/batch.ts",
    find: "resolve(replies[i] ?? tooFewReplies());",
    replace: "resolve(replies[0] ?? tooFewReplies());",
  },
  "batch: it is larger than the store wants": {
    file: "layers/batch.ts",
    find: "Math.min(this.#size, Math.ceil(waiting / Math.max(1, batches)))",
    replace: "waiting",
  },
  "heartbeat: an idle instance does not notice that the store has lost everything": {
    file: "layers/failover.ts",
    find: 'if (incarnation !== this.#link.incarnation && this.#outage.state === "here") {',
    replace: "if (incarnation === undefined) {",
  },
  "hold: a running call does not keep its hold": {
    file: "limiter/keep-alive.ts",
    find: "  wait(extendEachMs);\n  return {",
    replace: "  timer = setTimer(clock, 1e9, tick);\n  return {",
  },
  "client: a call is sent again without a key": {
    file: "client/keyed-call.ts",
    find: "const sent = hasKey || !addsKey ? call : { ...call, idempotencyKey: randomId() };",
    replace: "const sent = call;",
  },
  "client: bookings without an answer are forgotten": {
    file: "client/bookings.ts",
    find: "this.#entries.unshift(...left);",
    replace: "",
  },
  "client: what the service would deny is not booked": {
    file: "client/decide.ts",
    find: 'callItem(verb, keyed, verb === "consume" ? { force: true } : {})',
    replace: "callItem(verb, keyed)",
  },
  "client: a hold that the service would deny is not made": {
    file: "client/reserve.ts",
    find: "{ leaseMs, force: true }",
    replace: "{ leaseMs }",
  },
  "client: its local buckets survive an outage": {
    file: "client/local-away.ts",
    find: "    this.#fallback.clear();\n",
    replace: "",
  },
  "client: calls do not wait for the last bookings": {
    file: "client/local-away.ts",
    find: "    try {\n      while (this.#bookings.size > 0) await this.#bookings.send(this.#wire);",
    replace:
      "    try {\n" +
      '      if (this.#outage.state === "away") void this.#bookings.send(this.#wire).catch((error) => this.leave(error));\n' +
      "      else while (this.#bookings.size > 0) await this.#bookings.send(this.#wire);",
  },
  "client: its share is everything": {
    file: "client/local-away.ts",
    find: "{ instances: this.#instances, rank: null }",
    replace: "{ instances: 1, rank: 0 }",
  },
  "damage: a call that fails is charged to its other limits": {
    file: "store/batch.ts",
    find: "    if (damaged !== undefined) return damagedError(damaged);\n    const before = statesOf(keys);",
    replace:
      "    const before = statesOf(keys);\n" +
      "    if (damaged !== undefined) {\n" +
      "      const { next } = decide(request, before, nowMs);\n" +
      "      for (const [i, state] of next?.entries() ?? []) if (stateOf(keys[i] as string) !== null) change(keys[i] as string, state);\n" +
      "      return damagedError(damaged);\n" +
      "    }",
  },
  "damage: all calls of its batch fail": {
    file: "store/batch.ts",
    find: "  return { replies: requests.map(decideNext), changed };",
    replace:
      "  const replies = requests.map(decideNext);\n" +
      '  const failed = replies.find((reply) => "code" in reply && reply.code === "damaged-bucket");\n' +
      "  return { replies: failed === undefined ? replies : replies.map(() => failed), changed };",
  },
  "cluster: a server is given the script before all marks are renewed": {
    file: "stores/redis/shard.ts",
    find: "await this.#among?.renewAll();",
    replace: "await null;",
  },
  "cluster: what gives units back under a new number does nothing": {
    file: "store/receipts.ts",
    find: 'return mode === "undo" && atMs === undefined;',
    replace: 'return mode === "undo";',
  },
  "cluster: units are given back twice": {
    file: "store/wide-request/give-back.ts",
    find: "runLater(settle(shard, requests).then(end, end));",
    replace: "runLater(settle(shard, [...requests, ...requests]).then(end, end));",
  },
  "cluster: a shard that is away decides for others": {
    file: "layers/shards/fronts.ts",
    find: "    const known = this.#fronts.get(shard);\n",
    replace: "    const known = this.all().find(({ failing }) => failing?.isAway) ?? this.#fronts.get(shard);\n",
  },
  "cluster: a denied call keeps an answer in a shard that is away": {
    file: "store/kept-answer.ts",
    find: 'limit: { algorithm: "budget", quota: 0, ttlMs: 1, ttlFrom: "first" },\n  event: { type: "charge", cost: 1 },',
    replace:
      'limit: { algorithm: "budget", quota: 1, ttlMs: 1, ttlFrom: "first" },\n  event: { type: "extend", id: "x", leaseMs: 1 },',
  },
};
