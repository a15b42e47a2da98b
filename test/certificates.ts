// Certificates for servers of tests, signed by an authority that is made for them.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./temporary.ts";

/** Files in PEM format. */
export interface Certificates {
  /** The certificate of the authority. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Makes an authority that signs a certificate for each list of names, such as `IP:127.0.0.1` or `DNS:localhost`. */
export function makeCertificates<Name extends string>(namesOf: Record<Name, string>): Record<Name, Certificates> {
  const folder = temporaryFolder();
  const at = (file: string) => join(folder, file);
  const ca = at("ca.pem");
  const authority = ["-keyout", at("ca.key"), "-out", ca, "-subj", "/CN=Tests' authority", "-days", "2"];
  const uses = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"];
  openssl("req", "-x509", ...NEW_KEY, ...authority, ...uses);
  const made = Object.entries<string>(namesOf).map(([name, names]) => {
    const [request, key, certificate, extensions] = ["csr", "key", "pem", "ext"].map((end) => at(`${name}.${end}`)) as [
      string,
      string,
      string,
      string,
    ];
    writeFileSync(extensions, `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    openssl("req", ...NEW_KEY, "-keyout", key, "-out", request, "-subj", "/CN=Tests' server");
    const signed = ["-CA", ca, "-CAkey", at("ca.key"), "-CAcreateserial", "-days", "2", "-extfile", extensions];
    openssl("x509", "-req", "-in", request, "-out", certificate, ...signed);
    return [name, { ca, certificate, key }];
  });
  return Object.fromEntries(made);
}

function openssl(...args: string[]): void {
  const { status, stderr, error } = spawnSync("openssl", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`the tests need openssl on PATH: ${error?.message ?? stderr}`);
}
