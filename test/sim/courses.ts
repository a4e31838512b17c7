import type { SiteName, VaultId } from "../../src/core/ids.ts";
import { formatKey, type RowKey } from "../../src/core/row.ts";
import type { Site } from "../../src/core/store/site.ts";
import { flushMoments } from "./disk.ts";
import { settleStranded } from "./operator.ts";
import type { World } from "./world.ts";

const hourMs = 3_600_000;
/** A disk that is armed for a cut of the power copies itself at every flush. */
const powerCutMsMax = 20_000;
/** Writes before a cut come within the time of a few slow flushes. */
const writesMsMax = 2_000;

type Action = () => Promise<void> | void;

/**
 * What may happen in one step of a seed. Half of the seeds take the plain course: writes, outages, crashes, cuts of the power and disks
 * put back.
 * The others mix in what operators do about them, and what else machines do.
 */
export class Course {
  readonly #world: World;
  readonly #keys: RowKey[] = [];
  readonly #vaults: VaultId[] = [];
  readonly #images: { readonly site: SiteName; readonly image: Buffer }[] = [];
  readonly #isPlain: boolean;

  constructor(world: World, isPlain: boolean) {
    this.#world = world;
    this.#isPlain = isPlain;
  }

  async act(): Promise<void> {
    const isPlain = this.#isPlain || this.#world.random.fraction() < 0.5;
    const actions = isPlain ? this.#plain() : this.#operated(this.#world.running());
    await this.#world.pick(actions)();
  }

  #plain(): readonly Action[] {
    const world = this.#world;
    const site = this.#anySite();
    return [
      () => this.write(),
      () => this.write(),
      () => this.write(),
      () => this.#burst(),
      () => this.newVault(),
      () => this.#purge(),
      () => this.#changeKey(),
      () => this.#changeKey(),
      () => this.#read(),
      () => this.#read(),
      () => world.crash(site),
      () => this.#cutPower(site),
      () => this.#cutPower(site),
      () => world.stop(site),
      () => this.startAll(),
      () => this.startAll(),
      () => this.#cut(),
      () => this.#mend(),
      () => this.#poison(),
      () => this.#keepImage(site),
      () => this.#keepImage(site),
      () => this.#putBack(),
      () => this.#setClock(),
    ];
  }

  /** Operators mostly do what fits the site they look at, and sometimes not. */
  #operated(running: readonly Site[]): readonly Action[] {
    const world = this.#world;
    const site = this.#anySite();
    const oneThat = (fits: (site: Site) => boolean): SiteName => {
      const fitting = running.filter(fits);
      return fitting.length > 0 && world.random.fraction() < 0.8 ? world.pick(fitting).site : site;
    };
    const backup = oneThat(({ role }) => role === "backup");
    const fenced = oneThat(({ fenced: fence }) => fence !== null);
    const granter = oneThat(({ grant }) => grant !== null);
    const behind = oneThat(({ fenced: fence }) => fence === "primary_behind");
    const primary = oneThat(({ role }) => role === "primary");
    return [
      () => this.startAll(),
      () => this.startAll(),
      () => this.#mend(),
      () => this.#mend(),
      () => this.#command(backup, "promote"),
      () => this.#command(backup, "promote"),
      () => this.#command(backup, "promote"),
      () => this.#command(backup, "promote", { force: true }),
      () => this.#command(backup, "promote", { force: true }),
      () => this.#command(granter, "promote", { force: world.random.fraction() < 0.5 }),
      () => this.#promoteTwo(),
      () => this.#command(backup, "decline"),
      () => this.#command(fenced, "rejoin"),
      () => this.#command(fenced, "rejoin"),
      () => this.#command(backup, "rejoin"),
      () => this.#rejoinAll(),
      () => this.#command(behind, "recover"),
      () => this.#command(behind, "recover", { force: world.random.fraction() < 0.3 }),
      () => this.#command(primary, "verify", { repair: world.random.fraction() < 0.5 }),
      () => this.#cutPower(site),
      () => settleStranded(world),
      async () => void (await world.flip(site, true)),
      async () => void (await world.flip(site, world.random.fraction() < 0.8)),
      () => this.#putBack(),
      () => this.#keepImage(site),
      () => this.#purgeAcross(),
      () => this.#purge(),
      () => this.#changeKey(),
      () => this.#changeKey(),
      () => this.#read(),
      () => this.#burst(),
      () => this.#speakNewer(site),
      () => this.#deny(),
      () => this.#retryQuarantine(site),
      () => this.#changePeers(site),
      () => this.nameAllPeers(),
    ];
  }

  newVault(): void {
    const key = this.#world.newVaultKey();
    this.#vaults.push(key.vaultId);
    this.#keys.push(key);
    this.#send(key);
    // Whom it is made for, and somebody who is away whenever its key is changed.
    for (let i = 0; i < 2; i += 1) {
      const access = this.#world.newAccessKey(key.vaultId);
      this.#keys.push(access);
      this.#send(access);
    }
  }

  write(): void {
    const world = this.#world;
    const isNew = world.random.fraction() < 0.4;
    const key = isNew ? this.#newKey(world.pick(this.#vaults)) : world.pick(this.#keys);
    if (isNew) this.#keys.push(key);
    this.#send(key);
  }

  /** An access is granted now and then: its purge is what a revocation leaves. */
  #newKey(vaultId: VaultId): RowKey {
    const world = this.#world;
    return world.random.fraction() < 0.25 ? world.newAccessKey(vaultId) : world.newEntryKey(vaultId);
  }

  /** A write that is sure to change something, wherever a site takes it. */
  writeNew(): void {
    const key = this.#world.newEntryKey(this.#world.pick(this.#vaults));
    this.#keys.push(key);
    this.#send(key);
  }

  /** No disk is put back any more, and no power cut. */
  end(): void {
    this.#images.length = 0;
    this.#world.keepPower();
  }

  async startAll(): Promise<void> {
    for (const site of this.#world.sites.keys()) await this.#world.start(site);
  }

  /** Clients read at any site that is up. */
  #read(): void {
    for (let i = this.#world.draw(4); i >= 0; i -= 1) {
      const site = this.#anySite();
      if (this.#world.isUp(site)) void this.#world.clients.read(site);
    }
  }

  #burst(): void {
    for (let i = this.#world.draw(12); i >= 0; i -= 1) this.write();
  }

  #purge(): void {
    const key = this.#world.pick(this.#keys);
    this.#send(key, true);
    // Another client may still try to change it, but most of what is changed is there.
    if (key.kind !== "vault" && this.#world.random.fraction() < 0.8) {
      this.#keys.splice(this.#keys.indexOf(key), 1);
    }
  }

  /** A vault's key is changed, half of the time because somebody is shut out. */
  #changeKey(): void {
    const world = this.#world;
    const vaultId = world.pick(this.#vaults);
    const accesses = this.#keys.filter((key) => key.kind === "access" && key.vaultId === vaultId);
    const revoked = accesses.length > 0 && world.random.fraction() < 0.5 ? world.pick(accesses) : undefined;
    this.#atPrimary((site) => {
      if (revoked?.kind === "access") void world.clients.revoke(revoked, site);
      else void world.clients.changeKey(vaultId, site);
    });
  }

  /** A purge on one side, and a change or a purge of the same row on every other that takes writes. */
  #purgeAcross(): void {
    const world = this.#world;
    const key = world.pick(this.#keys);
    let isPurge = true;
    for (const site of world.sites.keys()) {
      if (world.isUp(site)) void world.write(key, isPurge, site);
      isPurge = world.random.fraction() < 0.3;
    }
  }

  /** Clients do not wait for each other, and none waits for ever for a site that has crashed. Some know the wrong site. */
  #send(key: RowKey, isPurge = false): void {
    this.#atPrimary((site) => void this.#world.write(key, isPurge, site));
  }

  #atPrimary(act: (site: SiteName) => void): void {
    const world = this.#world;
    const up = [...world.sites.keys()].filter((site) => world.isUp(site));
    if (up.length === 0) return;
    const isAstray = world.random.fraction() < 0.1;
    const primaries = world.primaries();
    act(isAstray || primaries.length === 0 ? world.pick(up) : world.pick(primaries).site);
  }

  #anySite(): SiteName {
    return this.#world.pick([...this.#world.sites.keys()]);
  }

  #cut(): void {
    const [a, b] = this.#anyTwo();
    this.#world.note(`the link of ${a} and ${b} is cut`);
    this.#world.network.cut(a, b);
  }

  #anyTwo(): readonly [SiteName, SiteName] {
    const a = this.#anySite();
    return [a, this.#world.pick([...this.#world.sites.keys()].filter((site) => site !== a))];
  }

  #mend(): void {
    const { sites, network } = this.#world;
    this.#world.note("links are whole");
    for (const a of sites.keys()) for (const b of sites.keys()) network.heal(a, b);
    network.newer.clear();
  }

  #deny(): void {
    const [a, b] = this.#anyTwo();
    this.#world.note(`the credential of ${a} and ${b} does not fit`);
    this.#world.network.deny(a, b);
  }

  #speakNewer(site: SiteName): void {
    this.#world.note(`${site} speaks the next protocol`);
    this.#world.network.newer.add(site);
  }

  #poison(): void {
    const key = this.#world.pick(this.#keys);
    if (key.kind !== "entry") return;
    this.#world.note(`backups refuse ${formatKey(key)}`);
    this.#world.network.poisoned.add(key.entryId);
  }

  /** Somebody sets the clocks, or a time server does. */
  #setClock(): void {
    this.#world.scheduler.wallJumpMs += this.#world.draw(4 * hourMs) - 2 * hourMs;
  }

  /** The power goes at one site, or at all of them, now or at one of the next flushes. */
  #cutPower(site: SiteName): void {
    const world = this.#world;
    const sites = world.random.fraction() < 0.2 ? [...world.sites.keys()] : [site];
    for (const each of sites) {
      const moment = world.pick(flushMoments);
      const cut = world.cutPowerSoon(each, { moment, flushes: 1 + world.draw(4) });
      world.scheduler.schedule(world.draw(powerCutMsMax), cut);
    }
    // Each is signalled while the next is committed and not flushed.
    for (let i = world.draw(8); i >= 0; i -= 1)
      world.scheduler.schedule(world.draw(writesMsMax), () => this.write());
  }

  #keepImage(site: SiteName): void {
    this.#images.push({ site, image: this.#world.image(site) });
  }

  async #putBack(): Promise<void> {
    const world = this.#world;
    if (this.#images.length === 0) return;
    const { site, image } = world.pick(this.#images);
    await world.restore(site, image);
    // Who reads there before anybody has noticed makes its audit go another way.
    for (let i = world.draw(12); i >= 0 && world.isUp(site); i -= 1) void world.clients.read(site);
  }

  /** Nobody waits for a command: its site may crash under it, and other commands follow. */
  #command(site: SiteName, name: string, body: object = {}): void {
    if (this.#world.isUp(site)) void this.#world.command(site, name, body);
  }

  /** Two people at two sites who know nothing of each other. */
  #promoteTwo(): void {
    for (const site of this.#anyTwo()) {
      this.#command(site, "promote", this.#world.random.fraction() < 0.7 ? { force: true } : {});
    }
  }

  /** One of a site's peers is removed, or its pair gets a new secret. */
  #changePeers(site: SiteName): void {
    const world = this.#world;
    const peers = world.peersOf(site);
    if (peers.length === 0) return;
    const one = world.pick(peers);
    const isRotated = world.random.fraction() < 0.5;
    world.setPeers(site, isRotated ? peers : peers.filter((peer) => peer !== one), isRotated ? [one] : []);
  }

  /** Every site's configuration names all others. */
  nameAllPeers(): void {
    const sites = [...this.#world.sites.keys()];
    for (const site of sites)
      this.#world.setPeers(
        site,
        sites.filter((other) => other !== site),
      );
  }

  #rejoinAll(): void {
    for (const site of this.#world.sites.keys()) this.#command(site, "rejoin");
  }

  #retryQuarantine(site: SiteName): void {
    if (this.#world.isUp(site)) void this.#world.retryQuarantine(site);
  }
}
