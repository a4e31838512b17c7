import { type AuditRecord, decodeBeginning, walkChain } from "../../src/core/audit.ts";
import type { AuditChain } from "../../src/core/store/audit.ts";
import { bytesEqual, toHex } from "../../src/core/bytes.ts";
import type { ChainId, SiteName } from "../../src/core/ids.ts";
import { sha256Hash } from "../support/ports.ts";
import type { World } from "./world.ts";

type Copy = { readonly at: SiteName; readonly chain: AuditChain; readonly records: readonly AuditRecord[] };

/**
 * What must hold of the sites' audits at rest: every copy of a chain is whole; two copies agree as far as both go, unless a later
 * chain of the same site names that one; and primary and backups have each other's own chains to the end.
 * Throws what does not hold.
 */
export async function checkAudit(world: World, winner: SiteName): Promise<void> {
  const copies: Copy[] = [];
  for (const site of world.sites.keys()) copies.push(...(await copiesAt(world, site)));
  const named = namedIn(copies);
  for (const same of Map.groupBy(copies, ({ chain }) => chain.chain).values()) {
    for (const [index, copy] of same.entries()) {
      for (const other of same.slice(index + 1)) checkAgree(copy, other, named);
    }
  }
  for (const site of world.sites.keys()) {
    if (site === winner) continue;
    checkHas(copies, site, winner);
    checkHas(copies, winner, site);
  }
}

async function copiesAt(world: World, site: SiteName): Promise<readonly Copy[]> {
  const { store } = world.process(site);
  const copies: Copy[] = [];
  for (const chain of await store.read((r) => r.audit.chains())) {
    const records = await store.read((r) =>
      r.audit.records(chain.chain, chain.anchor.seq, Number.MAX_SAFE_INTEGER),
    );
    const walk = walkChain(sha256Hash, chain.anchor, records);
    const isWhole = walk.kind === "whole" && bytesEqual(walk.end.hash, chain.head.hash);
    expectThat(isWhole, `${site} holds a copy of a chain of ${chain.site} that is not whole`);
    copies.push({ at: site, chain, records });
  }
  return copies;
}

/** Chains that a later chain of their site names. */
function namedIn(copies: readonly Copy[]): ReadonlySet<ChainId> {
  const named = new Set<ChainId>();
  for (const { chain, records } of copies) {
    const details = records[0]?.seq === 1 ? records[0].details : null;
    const beginning = details && decodeBeginning(details);
    for (const known of beginning?.known ?? []) if (known.site === chain.site) named.add(known.chain);
  }
  return named;
}

function checkAgree(copy: Copy, other: Copy, named: ReadonlySet<ChainId>): void {
  const hashes = new Map(copy.records.map(({ seq, hash }) => [seq, toHex(hash)]));
  const parted = other.records.find(({ seq, hash }) => (hashes.get(seq) ?? toHex(hash)) !== toHex(hash));
  const { site, chain } = copy.chain;
  expectThat(
    !parted || named.has(chain),
    `${copy.at} and ${other.at} differ in a chain of ${site} at ${parted?.seq}, and ${site} has not said so`,
  );
}

/** A site has all of another's own chain. */
function checkHas(copies: readonly Copy[], site: SiteName, owner: SiteName): void {
  const own = copies.find(({ at, chain }) => at === owner && chain.isOwn)?.chain;
  if (!own) return;
  const held = copies.find(({ at, chain }) => at === site && chain.chain === own.chain)?.chain;
  expectThat(
    held && bytesEqual(held.head.hash, own.head.hash),
    `${site} has the audit of ${owner} to ${held?.head.seq}, not to ${own.head.seq}`,
  );
}

function expectThat(holds: unknown, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}
