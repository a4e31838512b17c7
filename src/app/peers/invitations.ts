import type { AdminCommand, EditionRoute } from "../../core/edition.ts";
import { Refusal } from "../../core/errors.ts";
import type { Transacts } from "../../core/store/store.ts";
import { noFields } from "../../protocol/admin.ts";
import { check } from "../../protocol/check.ts";
import {
  inviteAnswerFields,
  pairingBytesMax,
  pairingPath,
  pairingProtocol,
  pairingRequest,
} from "../../protocol/pairing.ts";
import { Invitation, type InvitationPorts } from "./invitation.ts";

export type InvitationsParts = Omit<InvitationPorts, "self"> & {
  readonly store: Transacts<"site">;
  /** Asked when an invitation begins: a renewed certificate has another fingerprint. */
  readonly self: () => InvitationPorts["self"];
  /** Refuses where no peer could be written down. */
  readonly checkWritable: () => Promise<void>;
};

/** How a primary invites: at most one invitation at a time, made by an admin command and used through one open call. */
export class Invitations {
  readonly #parts: InvitationsParts;
  #invitation: Invitation | undefined;

  constructor(parts: InvitationsParts) {
    this.#parts = parts;
  }

  readonly adminCommands: readonly AdminCommand[] = [
    {
      name: "invite",
      handle: async ({ body, progress, signal }) => {
        check(noFields, body);
        const invitation = await this.#open(progress);
        return await invitation.run(signal);
      },
    },
    {
      name: "invite-answer",
      handle: async ({ body }) => {
        const { invite_id, ...decision } = check(inviteAnswerFields, body);
        const invitation = this.#invitation;
        if (invitation?.id !== invite_id) throw new Refusal("invite_unknown");
        await invitation.decide(decision);
        return { accepted: decision.accept };
      },
    },
  ];

  /** Open to anyone, and with no invitation open it tells nothing and does nothing. */
  readonly route: EditionRoute = {
    method: "POST",
    path: pairingPath,
    caller: "anyone",
    bodyBytesMax: pairingBytesMax,
    handle: async ({ body, address }) => {
      const invitation = this.#invitation;
      if (!invitation?.isKnown) throw new Refusal("invite_unknown");
      const request = check(pairingRequest, body);
      if (request.step === "begin") return { status: 200, body: begun(invitation) };
      const answer = await invitation.prove(request, address ?? "an unknown address");
      return { status: answer.state === "joined" ? 200 : 202, body: answer };
    },
  };

  async #open(progress: (event: object) => void): Promise<Invitation> {
    const { store, self, checkWritable } = this.#parts;
    const { role, fenced } = await store.read((r) => r.site.record());
    if (role === "backup")
      throw new Refusal("read_only_backup", "only a primary invites; this site is a backup");
    if (fenced !== null)
      throw new Refusal("site_fenced", `this site is fenced (${fenced}) and invites nobody`);
    await checkWritable();
    if (this.#invitation?.isOver === false) throw new Refusal("invite_open");
    this.#invitation = new Invitation({ ...this.#parts, self: self() }, progress);
    return this.#invitation;
  }
}

function begun({ self }: Invitation): object {
  const { site, url, fingerprint, nonce, key } = self;
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  return { protocol: pairingProtocol, site, url, fingerprint, nonce: hex(nonce), key: hex(key) };
}
