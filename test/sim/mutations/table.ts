/** A bug of one line: what the simulator must find, or a test of its own where no seed can. */
export type Mutation = {
  /** The promise of docs/SPEC.md that it breaks. */
  readonly promise: string;
  readonly bug: string;
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** A test that shows what no seed can: then no seed is asked. */
  readonly test?: { readonly file: string; readonly title: string };
};

/** How often what is to be replaced stands in its file: once, or the row is of a program that is no more. */
export function occurrences({ find }: Mutation, source: string): number {
  return source.split(find).length - 1;
}

export const mutations: readonly Mutation[] = [
  {
    promise: "I1",
    bug: "a write is answered before its transaction is committed",
    file: "src/store/sqlite/write-queue.ts",
    find: "outcomes.set(member, outcome);",
    replace: "settle(member, outcome);",
  },
  {
    promise: "I1",
    bug: "a write is answered though its COMMIT failed",
    file: "src/store/sqlite/write-queue.ts",
    find: "new Map(members.map((member) => [member, failed])));",
    replace: "new Map(members.map((member) => [member, outcomes.get(member) ?? failed])));",
  },
  {
    promise: "I1",
    bug: "a write is answered when it is committed, before it is flushed",
    file: "src/store/sqlite/write-queue.ts",
    find: 'if (isDone && member.durability === "committed") settle(member, outcome);',
    replace: "if (isDone) settle(member, outcome);",
  },
  {
    promise: "I1",
    bug: "a flush counts for what is committed after it, too",
    file: "src/store/sqlite/flushes.ts",
    find: "const covered = this.#committed;",
    replace: "const covered = Number.MAX_SAFE_INTEGER;",
  },
  {
    promise: "I2",
    bug: "a change commits without its digest",
    file: "src/store/sqlite/write-queue.ts",
    find: "      tx.flush();\n",
    replace: "",
  },
  {
    promise: "I2",
    bug: "a change commits without its link in the chain",
    file: "src/store/sqlite/vault-rows.ts",
    find: "chain: extendChain(hash, site.head.chain, row) }",
    replace: "chain: site.head.chain }",
  },
  {
    promise: "I2",
    bug: "a change commits without its point in the history",
    file: "src/store/sqlite/vault-rows.ts",
    find: "  recordPoint(tx.connection, head, false);\n",
    replace: "",
  },
  {
    promise: "I3",
    bug: "acked moves to the head, whatever was acknowledged",
    file: "src/store/sqlite/plain-ack.ts",
    find: "...acknowledgedPeer(peer, ack, now) };",
    replace: "...acknowledgedPeer(peer, { ...ack, through: state.site.head }, now) };",
  },
  {
    promise: "I3",
    bug: "a mark is cleared by the first of several backups",
    file: "src/store/sqlite/peers.ts",
    find: "(peer.acked ?? origin).position).toSorted(comparePositions)[0];",
    replace: "(peer.acked ?? origin).position).toSorted(comparePositions).at(-1);",
    test: {
      file: "test/sim/traps-outage.test.ts",
      title: "one stuck backup delays no other",
    },
  },
  {
    promise: "I4",
    bug: "a backup acknowledges rows that it has refused",
    file: "src/store/sqlite/backup.ts",
    find: "  if (code) return refuseRow(",
    replace: "  if (code) return; else if (code) return refuseRow(",
  },
  {
    promise: "I4",
    bug: "a backup acknowledges a push that is not flushed yet",
    file: "src/store/sqlite/sqlite-store.ts",
    find: "      return scope.steps(() => work(transactionOf(scope)));\n    });",
    replace: '      return scope.steps(() => work(transactionOf(scope)));\n    }, "committed");',
  },
  {
    promise: "I4",
    bug: "what is committed is read and pushed before it is flushed",
    file: "src/store/sqlite/sqlite-store.ts",
    find: "      if (settled) await settled;\n",
    replace: "",
  },
  {
    promise: "I5",
    bug: "an older row replaces a newer one",
    file: "src/core/push.ts",
    find: "comparePositions(incoming.position, stored.position) > 0;",
    replace: "comparePositions(incoming.position, stored.position) !== 0;",
    test: { file: "src/core/push.test.ts", title: "never one at the same or a higher" },
  },
  {
    promise: "I5",
    bug: "a push that arrives for a second time is applied again",
    file: "src/core/push.ts",
    find: "  if (!samePoint(push.after, receiver.applied))",
    replace:
      "  if (!samePoint(push.after, receiver.applied) && comparePositions(push.through.position, receiver.applied.position) > 0)",
  },
  {
    promise: "I6",
    bug: "a push is taken from any position on",
    file: "src/core/push.ts",
    find: '  if (!samePoint(push.after, receiver.applied)) return "resume";\n',
    replace: "",
  },
  {
    promise: "I6",
    bug: "the chain is not looked at, only the position",
    file: "src/core/push.ts",
    find: "if (!samePoint(push.after, receiver.applied))",
    replace: "if (comparePositions(push.after.position, receiver.applied.position) !== 0)",
    test: { file: "src/core/push.test.ts", title: "another chain is another history" },
  },
  {
    promise: "I7",
    bug: "a purge that comes home is forgotten",
    file: "src/core/aside.ts",
    find: 'return hasChanged ? "stranded" : "applied";',
    replace: 'return "struck";',
  },
  {
    promise: "I7",
    bug: "a purge that comes home is forgotten where its row was changed since",
    file: "src/core/aside.ts",
    find: 'return hasChanged ? "stranded" : "applied";',
    replace: 'return hasChanged ? "struck" : "applied";',
  },
  {
    promise: "I7",
    bug: "a backup acknowledges a purge that its log still holds",
    file: "src/replication/backup/apply.ts",
    find: "  if (namesPoint(outcome)) await store.erasure.eraseRemains();\n",
    replace: "",
    test: {
      file: "src/store/sqlite/erasure.test.ts",
      title: "is in no file of either site once the backup has acknowledged it",
    },
  },
  {
    promise: "I7",
    bug: "what was purged stays readable in the database",
    file: "src/store/sqlite/connection.ts",
    find: 'database.pragma("secure_delete = ON");',
    replace: 'database.pragma("secure_delete = OFF");',
    test: {
      file: "src/store/sqlite/erasure.test.ts",
      title: "is in no file of either site once the backup has acknowledged it",
    },
  },
  {
    promise: "I7",
    bug: "what an entry was before is told of after the entry's purge",
    file: "src/core/aside.ts",
    find: 'return isHeld || isEntryPurged ? "struck" : "stranded";',
    replace: 'return isHeld ? "struck" : "stranded";',
    test: {
      file: "test/contract/sqlite-memory.test.ts",
      title: "is struck where its entry was purged: what is purged never comes back",
    },
  },
  {
    promise: "I7",
    bug: "a purge that is made again leaves what the entry was before",
    file: "src/store/sqlite/take-aside.ts",
    find: 'const history = key.kind === "entry" ? readVersionKeys(connection, key) : [];',
    replace: "const history: RowKey[] = [];",
    test: {
      file: "test/contract/sqlite-memory.test.ts",
      title: "is purged with its entry, in whatever order the purges come, and by nothing else",
    },
  },
  {
    promise: "I11",
    bug: "what a stranded entry displaces is in no history",
    file: "src/core/stranded.ts",
    find: "return [...displaced, { key, body: row.body }];",
    replace: "return [{ key, body: row.body }];",
    test: {
      file: "src/core/stranded.test.ts",
      title:
        "makes it again where it is newer than all that is there, and what it displaces is an earlier version",
    },
  },
  {
    promise: "I8",
    bug: "a push of a lower epoch is taken",
    file: "src/core/push.ts",
    find: '  if (compareEpochs(push.epoch, receiver.epoch) < 0) return "stale_epoch";\n',
    replace: "",
  },
  {
    promise: "I8",
    bug: "a primary that meets a higher epoch is not fenced",
    file: "src/store/sqlite/transaction.ts",
    find: "fenced: superseded ?",
    replace: "fenced: superseded && false ?",
  },
  {
    promise: "I8",
    bug: "two promotions to one number have one id",
    file: "src/store/sqlite/roles.ts",
    find: "const epoch: Epoch = { number, id: newUuidV4(random) };",
    replace: 'const epoch: Epoch = { number, id: "10000000-0000-4000-8000-000000000000" };',
  },
  {
    promise: "I9",
    bug: "a fenced site's store takes a write that was let in before the fence",
    file: "src/store/sqlite/vault-rows.ts",
    find: 'if (site.fenced !== null) throw new Refusal("site_fenced");',
    replace: "",
  },
  {
    promise: "I9",
    bug: "a backup's store takes a write that was let in before it became one",
    file: "src/store/sqlite/vault-rows.ts",
    find: 'if (site.role === "backup") throw new Refusal("read_only_backup");',
    replace: "",
    // In a seed the handover has to fall into one slow body of a client: too rare to count on.
    test: { file: "test/contract/sqlite-memory.test.ts", title: "is refused by a backup" },
  },
  {
    promise: "I10",
    bug: "every digest counts as equal",
    file: "src/store/sqlite/backup.ts",
    find: "return bytesEqual(digestWithout(tx.buckets(), held, hash), digest);",
    replace: "return held.length >= 0;",
  },
  {
    promise: "I10",
    bug: "a drain whose proof was lost on its way ends without one",
    file: "src/replication/primary/proof.ts",
    find: "  if (isRepairDue(memory, peer)) return false;",
    replace: "  return false;",
  },
  {
    promise: "I11",
    bug: "rejoin drops what is above the fork",
    file: "src/store/sqlite/rejoin.ts",
    find: "if (putAside(tx, row, context)) kept += 1;",
    replace: "",
  },
  {
    promise: "I11",
    bug: "a repair replaces and removes rows without putting them aside",
    file: "src/store/sqlite/repair-rows.ts",
    find: "  putAside(tx, stored, context);\n",
    replace: "",
    test: { file: "test/contract/sqlite-memory.test.ts", title: "every intact row that went is kept" },
  },
  {
    promise: "I11",
    bug: "what nobody else has is struck where its key is there",
    file: "src/core/aside.ts",
    find: 'if (row.body !== null) return "stranded";',
    replace: 'if (row.body !== null) return own ? "struck" : "stranded";',
  },
  {
    promise: "I11",
    bug: "a primary that was put back is not fenced",
    file: "src/store/sqlite/primary.ts",
    find: 'tx.saveSite({ ...site, fenced: "primary_behind" });',
    replace: "tx.saveSite(site);",
  },
  {
    promise: "I11",
    bug: "a change of a vault's key makes no links: whoever is absent is shut out",
    file: "src/core/access-writes.ts",
    find: "{ key: vaultKey(vaultId), body: encodeVault(vault) },\n      ];",
    replace: "{ key: vaultKey(vaultId), body: encodeVault({ ...vault, links: [] }) },\n      ];",
  },
  {
    promise: "I11",
    bug: "a link is dropped while a backup has the access's slot of before",
    file: "src/core/resealing.ts",
    find: "if (!row || row.dirty) return row === undefined;",
    replace: "if (!row) return true;",
    test: {
      file: "test/sim/traps-rotation.test.ts",
      title: "has a way there until its new slot has come",
    },
  },
  {
    promise: "I11",
    bug: "a key of before is dropped before the backups have what was sealed anew",
    file: "src/http/resealing.ts",
    find: "if (!Object.values(holding).every(Boolean)) return false;",
    replace: "",
    test: {
      file: "src/http/resealing.test.ts",
      title: "stays until every backup holds what was sealed anew",
    },
  },
  {
    promise: "I11",
    bug: "what the last primary noted of rows is believed by one that never got them",
    file: "src/http/resealing.ts",
    find: "lastPosition?.epoch === epoch.number",
    replace: "lastPosition !== null || epoch.number < 0",
    test: {
      file: "test/sim/traps-rotation.test.ts",
      title: "a backup that was away for two changes of the key",
    },
  },
  {
    promise: "I11",
    bug: "a key of before goes while a link starts from it",
    file: "src/core/resealing.ts",
    find: "lastPosition !== null && !needed.has(keyId)",
    replace: "lastPosition !== null || needed.has(keyId)",
  },
  {
    promise: "I12",
    bug: "a backup says hello for ever",
    file: "src/replication/hello.ts",
    find: "if (await isAnswered(options)) return;",
    replace: "if ((await isAnswered(options)) && abort.aborted) return;",
  },
  {
    promise: "I13",
    bug: "a worker gives up after five attempts",
    file: "src/replication/primary/worker.ts",
    find: "if (dirty === 0 && !this.#owesContact",
    replace: "if (isTold || dirty === 0 && !this.#owesContact",
  },
];
