// The part of Envoy's API that the service speaks, as protobufjs describes it: names and numbers are those of
// envoy/service/ratelimit/v3/rls.proto and what that imports. Fields that are not here are passed over.

const repeated = (type: string, id: number) => ({ rule: "repeated", type, id });
const field = (type: string, id: number) => ({ type, id });

const header = { fields: { key: field("string", 1), value: field("string", 2) } };

const struct = {
  Struct: { fields: { fields: { keyType: "string", type: "Value", id: 1 } } },
  Value: {
    oneofs: { kind: { oneof: ["numberValue", "stringValue", "boolValue", "structValue", "listValue"] } },
    fields: {
      numberValue: field("double", 2),
      stringValue: field("string", 3),
      boolValue: field("bool", 4),
      structValue: field("Struct", 5),
      listValue: field("ListValue", 6),
    },
  },
  ListValue: { fields: { values: repeated("Value", 1) } },
};

const descriptor = {
  fields: {
    entries: repeated("Entry", 1),
    hitsAddend: field("google.protobuf.UInt64Value", 3),
    isNegativeHits: field("bool", 4),
  },
  nested: { Entry: { fields: { key: field("string", 1), value: field("string", 2) } } },
};

const status = {
  fields: {
    code: field("Code", 1),
    currentLimit: field("RateLimit", 2),
    limitRemaining: field("uint32", 3),
    durationUntilReset: field("google.protobuf.Duration", 4),
  },
};

const rateLimit = {
  fields: { requestsPerUnit: field("uint32", 1), unit: field("Unit", 2), name: field("string", 3) },
  nested: {
    Unit: { values: { UNKNOWN: 0, SECOND: 1, MINUTE: 2, HOUR: 3, DAY: 4, MONTH: 5, YEAR: 6, WEEK: 7 } },
  },
};

const service = {
  RateLimitService: {
    methods: { ShouldRateLimit: { requestType: "RateLimitRequest", responseType: "RateLimitResponse" } },
  },
  RateLimitRequest: {
    fields: {
      domain: field("string", 1),
      descriptors: repeated("RateLimitDescriptor", 2),
      hitsAddend: field("uint32", 3),
    },
  },
  RateLimitDescriptor: descriptor,
  HeaderValue: header,
  RateLimitResponse: {
    fields: {
      overallCode: field("Code", 1),
      statuses: repeated("DescriptorStatus", 2),
      responseHeadersToAdd: repeated("HeaderValue", 3),
      rawBody: field("bytes", 5),
      dynamicMetadata: field("google.protobuf.Struct", 6),
    },
    nested: {
      Code: { values: { UNKNOWN: 0, OK: 1, OVER_LIMIT: 2 } },
      RateLimit: rateLimit,
      DescriptorStatus: status,
    },
  },
};

/** The messages under names that suffice on the wire, where packages of messages are not seen. */
export const PROTO = {
  options: { syntax: "proto3" },
  nested: {
    google: {
      nested: {
        protobuf: {
          nested: {
            Duration: { fields: { seconds: field("int64", 1), nanos: field("int32", 2) } },
            UInt64Value: { fields: { value: field("uint64", 1) } },
            ...struct,
          },
        },
      },
    },
    envoy: { nested: { service: { nested: { ratelimit: { nested: { v3: { nested: service } } } } } } },
  },
};

/** As the service is named on the wire. */
export const SERVICE = "envoy.service.ratelimit.v3.RateLimitService";
