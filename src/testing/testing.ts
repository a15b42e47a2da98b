// What comes with Tollgate for the tests of its users and of authors of stores.

export type { Clock } from "../clock.ts";
export { type FakeClock, fakeClock } from "./fake-clock.ts";
export { testPolicy } from "./policy-test.ts";
export type { PolicyTest, PolicyTestCall, PolicyTestEnd, PolicyTestEnding } from "./policy-test-input.ts";
export type { PolicyTestStep } from "./policy-test-input.ts";
export type { PolicyTestBucket, PolicyTestBucketName, PolicyTestGrant, PolicyTestReset } from "./policy-test-input.ts";
export { type StoreCase, type StoreFixture, sharedStoreCases, storeCases } from "./store-cases.ts";
