import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { errnoOf, readSecretFile } from "./secret-files.ts";

/** What is wrong with a file; the message continues a sentence that begins with the key or the path. */
export type TlsFileFault = { readonly message: string; readonly isExposed: boolean };
export type TlsFile = { readonly text: string } | TlsFileFault;

const fileBytesMax = 1024 * 1024;
const pemBlocks = /-----BEGIN ([A-Z0-9 ]+)-----[^-]+-----END \1-----/g;

/** The certificates of a PEM text, the first being the one that is presented. Throws where one cannot be read. */
export function certificatesIn(pem: string): readonly X509Certificate[] {
  const blocks = [...pem.matchAll(pemBlocks)].filter(([, label]) => label?.endsWith("CERTIFICATE") === true);
  return blocks.map(([block]) => new X509Certificate(block));
}

/** Reads a PEM file that anybody may read and that holds at least one certificate. */
export async function readCertificateFile(path: string): Promise<TlsFile> {
  const text = await readPublicFile(path);
  if (typeof text !== "string") return text;
  try {
    if (certificatesIn(text).length > 0) return { text };
  } catch {
    return fault(
      `names a file whose certificate cannot be read: ${path}; it is damaged, make or copy it again`,
    );
  }
  return fault(`names a file without a certificate: ${path}; it must hold PEM (-----BEGIN CERTIFICATE-----)`);
}

/** Reads a private key without a passphrase, from a file that only its owner may read. */
export async function readKeyFile(path: string): Promise<TlsFile> {
  const secret = await readSecretFile(path);
  switch (secret.kind) {
    case "missing":
      return fault(`names a file that does not exist: ${path}; name the certificate's private key`);
    case "exposed":
      return {
        message: `names a file that others can read (mode ${secret.mode}): chmod 600 ${path}`,
        isExposed: true,
      };
    case "unreadable":
      return fault(`names something that ${secret.reason}: ${path}`);
    case "read": {
      const key = keyOf(secret.text);
      return typeof key === "string" ? fault(`${key}: ${path}; ${keyWanted}`) : { text: secret.text };
    }
  }
}

/** Why a key cannot serve the certificate; undefined where it can. Both were read by the functions above. */
export function findMismatch(cert: string, key: string): string | undefined {
  const [first] = certificatesIn(cert);
  const parsed = keyOf(key);
  if (first === undefined || typeof parsed === "string" || first.checkPrivateKey(parsed)) return undefined;
  return "is not the key of this certificate; name the two files that were made together (the site's certificate comes first in its file)";
}

const keyWanted = "it must hold a private key in PEM, without a passphrase";

function keyOf(text: string): KeyObject | string {
  try {
    return createPrivateKey(text);
  } catch (error) {
    return errnoOf(error) === "ERR_MISSING_PASSPHRASE" || /\bENCRYPTED\b/.test(text)
      ? "names a file whose private key needs a passphrase"
      : "names a file without a private key";
  }
}

async function readPublicFile(path: string): Promise<string | TlsFileFault> {
  try {
    // Without O_NONBLOCK, opening a pipe would wait for a writer for ever.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (!stats.isFile()) return fault(`names something that is not a file: ${path}`);
    if (stats.size > fileBytesMax) return fault(`names a file that is far too large: ${path}`);
    return await file.readFile("utf8");
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    if (code === "ENOENT") return fault(`names a file that does not exist: ${path}`);
    return fault(`names a file that cannot be read (${code}): ${path}`);
  }
}

function fault(message: string): TlsFileFault {
  return { message, isExposed: false };
}
