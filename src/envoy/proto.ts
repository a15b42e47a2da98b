// The part of Envoy's API that the service speaks, as protobufjs describes it: names and numbers are those of
// envoy/service/ratelimit/v3/rls.proto and what that imports. Fields that are not here are skipped.

const field = (type: string, id: number) => ({ type, id });
const repeated = (type: string, id: number) => ({ rule: "repeated", type, id });
const message = (fields: object, nested: object = {}) => ({ fields, nested });
const keyAndValue = message({ key: field("string", 1), value: field("string", 2) });

const google = {
  Duration: message({ seconds: field("int64", 1), nanos: field("int32", 2) }),
  UInt64Value: message({ value: field("uint64", 1) }),
  Struct: message({ fields: { keyType: "string", type: "Value", id: 1 } }),
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
  ListValue: message({ values: repeated("Value", 1) }),
};

const descriptor = {
  entries: repeated("Entry", 1),
  hitsAddend: field("google.protobuf.UInt64Value", 3),
  isNegativeHits: field("bool", 4),
};

const response = {
  overallCode: field("Code", 1),
  statuses: repeated("DescriptorStatus", 2),
  responseHeadersToAdd: repeated("HeaderValue", 3),
  rawBody: field("bytes", 5),
  dynamicMetadata: field("google.protobuf.Struct", 6),
};

const status = {
  code: field("Code", 1),
  currentLimit: field("RateLimit", 2),
  limitRemaining: field("uint32", 3),
  durationUntilReset: field("google.protobuf.Duration", 4),
};

const rateLimit = { requestsPerUnit: field("uint32", 1), unit: field("Unit", 2), name: field("string", 3) };
const Unit = { values: { UNKNOWN: 0, SECOND: 1, MINUTE: 2, HOUR: 3, DAY: 4, MONTH: 5, YEAR: 6, WEEK: 7 } };

const service = {
  RateLimitService: {
    methods: { ShouldRateLimit: { requestType: "RateLimitRequest", responseType: "RateLimitResponse" } },
  },
  RateLimitRequest: message({
    domain: field("string", 1),
    descriptors: repeated("RateLimitDescriptor", 2),
    hitsAddend: field("uint32", 3),
  }),
  RateLimitDescriptor: message(descriptor, { Entry: keyAndValue }),
  HeaderValue: keyAndValue,
  RateLimitResponse: message(response, {
    Code: { values: { UNKNOWN: 0, OK: 1, OVER_LIMIT: 2 } },
    RateLimit: message(rateLimit, { Unit }),
    DescriptorStatus: message(status),
  }),
};

const inNamespaces = (names: readonly string[], nested: object) =>
  names.reduceRight<object>((inner, name) => ({ [name]: { nested: inner } }), nested);

/** The messages. Their packages are not seen on the wire, so short names suffice. */
export const PROTO = {
  options: { syntax: "proto3" },
  nested: {
    ...inNamespaces(["google", "protobuf"], google),
    ...inNamespaces(["envoy", "service", "ratelimit", "v3"], service),
  },
};

/** As the service is named on the wire. */
export const SERVICE = "envoy.service.ratelimit.v3.RateLimitService";
