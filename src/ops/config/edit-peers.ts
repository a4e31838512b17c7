import { type Document, isMap, isSeq, parseDocument, type YAMLMap, type YAMLSeq } from "yaml";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";

/** A peer as it is written into a configuration file. */
export type PeerEntry = {
  readonly site: SiteName;
  readonly url: string;
  /** As it is to stand in the file: absolute, or relative to it. */
  readonly tokenFile: string;
  /** The one certificate that the peer may show; null demands none. */
  readonly fingerprint: string | null;
};

/**
 * The text of a configuration file with a peer added, or with the peer of that site changed to be this one. Comments, order
 * and everything else stay.
 * @throws Refusal `config_invalid` where the file has no list of peers
 */
export function withPeer(text: string, entry: PeerEntry): string {
  const document = parse(text);
  const peers = peersOf(document);
  const known = peers.items.find((item) => isMap(item) && item.get("site") === entry.site);
  if (isMap(known)) changePeer(document, known, entry);
  else addPeer(document, peers, entry);
  return textOf(document);
}

/** @throws Refusal `peer_unknown` where no peer of this name is in the list, `config_invalid` where there is no list */
export function withoutPeer(text: string, site: SiteName): string {
  const document = parse(text);
  const peers = peersOf(document);
  const at = peers.items.findIndex((item) => isMap(item) && item.get("site") === site);
  if (at < 0) throw new Refusal("peer_unknown", `${site} is not among replication.peers`);
  const isFirst = at === 0;
  peers.delete(at);
  // Of the comment above the list nothing may go with its first peer, and an empty block can only be written as [].
  if (isFirst && peers.items.length === 0) peers.flow = true;
  return textOf(document);
}

function parse(text: string): Document {
  return parseDocument(text, { stringKeys: true, logLevel: "error" });
}

/** No line is folded: a URL stays one word. */
function textOf(document: Document): string {
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

function peersOf(document: Document): YAMLSeq {
  const peers: unknown = document.getIn(["replication", "peers"]);
  if (isSeq(peers)) return peers;
  const remedy = "write `replication: { peers: [] }` into it";
  throw new Refusal("config_invalid", `the configuration has no list replication.peers; ${remedy}`);
}

function addPeer(document: Document, peers: YAMLSeq, { fingerprint, ...entry }: PeerEntry): void {
  const values = { site: entry.site, url: entry.url, token_file: entry.tokenFile };
  const item = document.createNode(fingerprint === null ? values : { ...values, tls: { fingerprint } });
  const last = peers.items.at(-1);
  if (peers.items.length === 0 && isInBlock(document)) peers.flow = false;
  item.flow = isMap(last) ? last.flow === true : peers.flow === true;
  const tls: unknown = item.get("tls");
  if (isMap(tls)) tls.flow = true;
  peers.add(item);
}

/** Whether nothing around the list of peers is written in braces: inside them there can be no block. */
function isInBlock(document: Document): boolean {
  const replication: unknown = document.get("replication");
  const { contents } = document;
  return isMap(contents) && contents.flow !== true && isMap(replication) && replication.flow !== true;
}

function changePeer(document: Document, peer: YAMLMap, entry: PeerEntry): void {
  peer.set("url", entry.url);
  peer.set("token_file", entry.tokenFile);
  const isPlain = entry.url.startsWith("http:");
  const tls: unknown = isPlain ? undefined : peer.get("tls");
  if (isPlain) peer.delete("tls");
  if (entry.fingerprint === null) {
    if (!isMap(tls)) return;
    tls.delete("fingerprint");
    if (tls.items.length === 0) peer.delete("tls");
  } else if (isMap(tls)) tls.set("fingerprint", entry.fingerprint);
  else peer.set("tls", document.createNode({ fingerprint: entry.fingerprint }, { flow: true }));
}
