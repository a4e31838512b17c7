import { X509Certificate } from "node:crypto";
import { generate } from "selfsigned";

/** A certificate with its key, as PEM. */
export type Identity = { readonly cert: string; readonly key: string };

export type IdentityOptions = {
  /** Who signs it; itself where nobody is named. */
  readonly ca?: Identity;
  /** What it is for; this machine where nothing is said. */
  readonly hosts?: readonly string[];
  readonly from?: Date;
  readonly to?: Date;
};

const names = (commonName: string) => [{ name: "commonName", value: commonName }];
const curve = { keyType: "ec", algorithm: "sha256" } as const;

/** A certificate for a site, to serve with and to call with. */
export async function makeIdentity(name: string, options: IdentityOptions = {}): Promise<Identity> {
  const { ca, hosts = ["127.0.0.1", "localhost"], from, to } = options;
  const altNames = hosts.map((host) =>
    /^[\d.]+$/.test(host) ? { type: 7 as const, ip: host } : { type: 2 as const, value: host },
  );
  const made = await generate(names(name), {
    ...curve,
    extensions: [
      { name: "basicConstraints", cA: false },
      { name: "extKeyUsage", serverAuth: true, clientAuth: true },
      { name: "subjectAltName", altNames },
    ],
    ...(ca && { ca }),
    ...(from && { notBeforeDate: from }),
    ...(to && { notAfterDate: to }),
  });
  return { cert: made.cert, key: made.private };
}

export async function makeAuthority(name: string): Promise<Identity> {
  const made = await generate(names(name), {
    ...curve,
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, digitalSignature: true, critical: true },
    ],
  });
  return { cert: made.cert, key: made.private };
}

/** 64 lower-case hex digits. */
export function fingerprintOf({ cert }: Pick<Identity, "cert">): string {
  return new X509Certificate(cert).fingerprint256.replaceAll(":", "").toLowerCase();
}

const dayMs = 86_400_000;
export const inDays = (days: number): Date => new Date(Date.now() + days * dayMs);
