/**
 * What this site demands of a peer's certificate, and what it shows of its own. With nothing in it, the certificate must be
 * for the URL's host and of an authority that the system trusts.
 */
export type PeerTls = {
  /** PEM. The peer's certificate must be for the URL's host and of one of these authorities, and of no other. */
  readonly ca: string | null;
  /** SHA-256 of the peer's certificate, 64 lower-case hex digits: exactly that certificate is taken, whoever signed it. */
  readonly fingerprint: string | null;
  /** PEM: the certificate by which this site proves itself to the peer. Null together with `key`. */
  readonly cert: string | null;
  /** PEM. A secret. */
  readonly key: string | null;
};
