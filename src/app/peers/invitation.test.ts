import { beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../../../test/support/ports.ts";
import { Refusal } from "../../core/errors.ts";
import type { SiteName } from "../../core/ids.ts";
import { parseInviteCode } from "../../crypto/invite-code.ts";
import { newExchangeKey } from "../../crypto/key-agreement.ts";
import { pairingOutcome } from "../../crypto/pairing.ts";
import type { PairingProve } from "../../protocol/pairing.ts";
import { systemRandom } from "../system-ports.ts";
import { Invitation, type InviteEnd, type Judgement } from "./invitation.ts";
import type { NewPeer } from "./peer-files.ts";

type Party = Pick<PairingProve, "site" | "url" | "fingerprint">;
const zurich: Party = { site: "zurich" as SiteName, url: "https://zurich.example", fingerprint: null };

class Scene {
  readonly clock = new VirtualClock();
  readonly told: Readonly<Record<string, unknown>>[] = [];
  readonly admitted: NewPeer[] = [];
  readonly caller = new AbortController();
  readonly invitation: Invitation;
  readonly end: Promise<InviteEnd | Refusal>;
  refusal: Refusal | undefined;
  failure: Refusal | undefined;
  judgement: Judgement = { certificate: "none", pin: null, known: null };

  constructor() {
    this.invitation = new Invitation(
      {
        clock: this.clock,
        random: systemRandom,
        self: { site: "calgary" as SiteName, url: "https://calgary.example", fingerprint: "ab".repeat(32) },
        judge: async () => {
          if (this.refusal !== undefined) throw this.refusal;
          return this.judgement;
        },
        admit: async (peer) => {
          if (this.failure !== undefined) throw this.failure;
          this.admitted.push(peer);
        },
      },
      (event) => void this.told.push({ ...event }),
    );
    this.end = this.invitation.run(this.caller.signal).catch((error: unknown) => {
      if (error instanceof Refusal) return error;
      throw error;
    });
  }

  get code(): string {
    return String(this.told[0]?.["code"]);
  }

  /** The messages of a site that was given a code. */
  joiner(code = parseInviteCode(this.code), party = zurich) {
    const own = newExchangeKey(systemRandom);
    const joiner = { ...party, nonce: systemRandom.bytes(32), key: own.shown };
    const primary = { ...this.invitation.self, url: code.url, fingerprint: code.fingerprint };
    const outcome = pairingOutcome({ secret: code.secret, primary, joiner }, own, primary.key);
    if (outcome === undefined) throw new Error("the key is none");
    const proof = outcome.proofs.joiner;
    const request: PairingProve = { protocol: 1, step: "prove", certificate: "pinned", ...joiner, proof };
    return { request, outcome };
  }

  stranger() {
    return this.joiner({ ...parseInviteCode(this.code), secret: new Uint8Array(16) }).request;
  }

  async codeOf(work: Promise<unknown>): Promise<string> {
    return await work.then(
      () => "taken",
      (error: unknown) => {
        if (error instanceof Refusal) return error.code;
        throw error;
      },
    );
  }
}

let scene: Scene;
beforeEach(() => {
  scene = new Scene();
});
const prove = (request: PairingProve) => scene.invitation.prove(request, "192.0.2.7");

describe("an invitation", () => {
  it("asks for the site that has the code, and lets it in when the operator has accepted, with a proof of its own", async () => {
    const { request, outcome } = scene.joiner();
    expect(await prove(request)).toEqual({ state: "waiting" });
    expect(scene.told[1]).toEqual({
      joiner: {
        site: "zurich",
        url: zurich.url,
        address: "192.0.2.7",
        fingerprint: null,
        certificate: "none",
        replaces: null,
      },
    });
    expect(scene.admitted).toEqual([]);
    await scene.invitation.decide({ accept: true });
    const proof = Buffer.from(outcome.proofs.primary).toString("hex");
    expect(await prove(request)).toEqual({ state: "joined", certificate: "none", proof });
    expect(await scene.end).toEqual({
      site: "zurich",
      url: zurich.url,
      address: "192.0.2.7",
      certificate: "none",
      own_certificate: "pinned",
    });
    expect(scene.admitted).toHaveLength(1);
  });

  it("shows what a site of a known name would replace, and takes no answer that does not name the replacement", async () => {
    const known = { url: "https://old.example", fingerprint: "01".repeat(32) };
    const party = { ...zurich, fingerprint: "02".repeat(32) };
    scene.judgement = { certificate: "pinned", pin: party.fingerprint, known };
    const { request } = scene.joiner(undefined, party);
    await prove(request);
    expect(scene.told[1]).toEqual({
      joiner: { ...party, address: "192.0.2.7", certificate: "pinned", replaces: known },
    });
    expect(await scene.codeOf(scene.invitation.decide({ accept: true }))).toBe("peer_exists");
    expect(scene.admitted).toEqual([]);
    expect(await prove(request)).toEqual({ state: "waiting" });
    await scene.invitation.decide({ accept: true, replace: true });
    expect(scene.admitted).toMatchObject([party]);
  });

  it("writes down no certificate that a known authority vouches for, and says so", async () => {
    scene.judgement = { certificate: "verified", pin: null, known: null };
    const party = { ...zurich, fingerprint: "02".repeat(32) };
    await prove(scene.joiner(undefined, party).request);
    await scene.invitation.decide({ accept: true });
    expect(scene.admitted).toMatchObject([{ ...party, fingerprint: null }]);
    expect(await scene.end).toMatchObject({ certificate: "verified" });
  });

  it("asks once, however often the site asks", async () => {
    const { request } = scene.joiner();
    for (let times = 0; times < 3; times += 1) await prove(request);
    expect(scene.told).toHaveLength(2);
  });

  it("answers the site that joined again for its 15 minutes, without a timer, and nobody else", async () => {
    const { request } = scene.joiner();
    const late = scene.joiner().request;
    await prove(request);
    await scene.invitation.decide({ accept: true });
    await scene.end;
    await scene.clock.turn();
    expect(scene.clock.sleeping).toBe(0);
    expect((await prove(request)).state).toBe("joined");
    expect(await scene.codeOf(prove(late))).toBe("invite_unknown");
    expect(scene.admitted).toHaveLength(1);
    await scene.clock.advance(15 * 60_000);
    expect(scene.invitation.isKnown).toBe(false);
  });

  it("ends after 15 minutes in which nobody came, and leaves no timer", async () => {
    await scene.clock.advance(15 * 60_000 - 1);
    expect(scene.invitation.isKnown).toBe(true);
    await scene.clock.advance(1);
    expect(await scene.end).toMatchObject({ code: "invite_unknown" });
    expect(scene.invitation.isKnown).toBe(false);
    expect(scene.clock.sleeping).toBe(0);
  });

  it("ends after five wrong proofs, and the right one comes too late", async () => {
    for (let times = 1; times <= 5; times += 1) {
      expect(scene.invitation.isOver).toBe(false);
      expect(await scene.codeOf(prove(scene.stranger()))).toBe("invite_refused");
      expect(scene.told.at(-1)).toEqual({ failures: times, address: "192.0.2.7" });
    }
    expect(await scene.end).toMatchObject({ code: "invite_refused" });
    expect(scene.invitation.isKnown).toBe(false);
    expect(await scene.codeOf(prove(scene.joiner().request))).toBe("invite_unknown");
    expect(scene.clock.sleeping).toBe(0);
  });

  it("counts no failure once a site was proved: strangers end nothing while the operator is asked, or afterwards", async () => {
    const { request } = scene.joiner();
    for (let times = 0; times < 4; times += 1) await scene.codeOf(prove(scene.stranger()));
    await prove(request);
    const told = scene.told.length;
    for (let times = 0; times < 6; times += 1) {
      expect(await scene.codeOf(prove(scene.stranger()))).toBe("invite_refused");
    }
    expect(scene.told).toHaveLength(told);
    expect(await prove(request)).toEqual({ state: "waiting" });
    await scene.invitation.decide({ accept: true });
    for (let times = 0; times < 6; times += 1) {
      expect(await scene.codeOf(prove(scene.stranger()))).toBe("invite_unknown");
    }
    expect((await prove(request)).state).toBe("joined");
    expect(await scene.end).toMatchObject({ site: "zurich" });
  });

  it("takes no proof of which anything was changed on its way", async () => {
    const { request } = scene.joiner();
    const changes: Partial<PairingProve>[] = [
      { site: "oslo" as SiteName },
      { url: "https://elsewhere.example" },
      { fingerprint: "cd".repeat(32) },
      { nonce: new Uint8Array(32) },
    ];
    for (const change of changes) {
      expect(await scene.codeOf(prove({ ...request, ...change }))).toBe("invite_refused");
    }
    expect((await prove(request)).state).toBe("waiting");
  });

  it("asks for one site at a time: another with the same code is refused meanwhile", async () => {
    await prove(scene.joiner().request);
    expect(await scene.codeOf(prove(scene.joiner().request))).toBe("invite_refused");
    expect(scene.told).toHaveLength(2);
  });

  it("that was declined lets nobody in, and says so to the site that asks again", async () => {
    const { request } = scene.joiner();
    await prove(request);
    await scene.invitation.decide({ accept: false });
    expect(await scene.end).toMatchObject({ code: "invite_declined" });
    expect(await scene.codeOf(prove(request))).toBe("invite_declined");
    expect(await scene.codeOf(scene.invitation.decide({ accept: true }))).toBe("invite_unknown");
    expect(scene.admitted).toEqual([]);
  });

  it("ends with the caller who made it", async () => {
    const { request } = scene.joiner();
    await prove(request);
    scene.caller.abort();
    expect(await scene.end).toMatchObject({ code: "shutting_down" });
    expect(await scene.codeOf(prove(request))).toBe("invite_unknown");
    await scene.clock.turn();
    expect(scene.clock.sleeping).toBe(0);
  });

  it("tells its operator alone why a site cannot be a peer, and stays open for it", async () => {
    const { request } = scene.joiner();
    scene.refusal = new Refusal("config_invalid", "calgary.yaml has a mistake", [
      { path: "peers[0].token_file", message: "names a file that others can read" },
    ]);
    const refusal = await prove(request).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "pairing_failed", mistakes: [] });
    expect(String(refusal)).not.toMatch(/calgary\.yaml|token_file|others can read/);
    expect(scene.told.at(-1)).toEqual({
      refused: {
        site: "zurich",
        url: zurich.url,
        address: "192.0.2.7",
        reason: "peers[0].token_file names a file that others can read",
      },
    });
    scene.refusal = undefined;
    expect((await prove(request)).state).toBe("waiting");
  });

  it("that fails after its operator has accepted is not called declined, and he is told why", async () => {
    const { request } = scene.joiner();
    await prove(request);
    scene.failure = new Refusal("config_invalid", "calgary.yaml was changed meanwhile");
    expect(await scene.codeOf(scene.invitation.decide({ accept: true }))).toBe("config_invalid");
    expect(await scene.end).toBe(scene.failure);
    const refusal = await prove(request).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "pairing_failed" });
    expect(String(refusal)).not.toContain("calgary.yaml");
    expect(scene.clock.sleeping).toBe(0);
  });
});
