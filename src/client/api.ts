// The public interface of a remote limiter: what differs from a limiter in this process.

import type { BucketUsage } from "../kernel/decision.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { BucketFor, DimensionsFor, LimitOf, OnlyDimensions, OwnOf, Said } from "../kernel/policy/typed.ts";
import type { CallOptions, ChangeOptions, Grant, Limiter, Reset, Revoked } from "../limiter.ts";

/** A change, without quotas: the service has the quotas of its buckets. */
type RemoteChange = Omit<ChangeOptions, "quotas">;

/** A limiter that asks a service. The service has the quotas of buckets, so only calls may bring quotas. */
export interface RemoteLimiter<P extends Policy = Policy, Bound extends string = never> extends Limiter<P, Bound> {
  usage<Own extends OwnOf<P>>(
    dimensions?: BucketFor<P, Own>,
    options?: CallOptions,
  ): Promise<readonly BucketUsage<LimitOf<P>>[]>;
  reset<Own extends OwnOf<P>>(
    bucket: BucketFor<P, Own> & { readonly limit: LimitOf<P> },
    options?: RemoteChange,
  ): Promise<Reset<LimitOf<P>>>;
  grant<Own extends OwnOf<P>>(
    bucket: BucketFor<P, Own> & { readonly limit: LimitOf<P> },
    grant: Grant,
    options?: RemoteChange,
  ): Promise<BucketUsage<LimitOf<P>>>;
  revoke<Own extends OwnOf<P>>(
    bucket: BucketFor<P, Own> & { readonly limit: LimitOf<P> },
    id: string,
    options?: RemoteChange,
  ): Promise<Revoked<LimitOf<P>>>;
  for<const Given extends object>(
    dimensions: Given & DimensionsFor<P> & OnlyDimensions<P, Given>,
  ): RemoteLimiter<P, Bound | Said<Given>>;
}
