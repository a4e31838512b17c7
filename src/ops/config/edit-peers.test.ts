import { describe, expect, it } from "vitest";
import type { SiteName } from "../../core/ids.ts";
import { type PeerEntry, withoutPeer, withPeer } from "./edit-peers.ts";

const zurich: PeerEntry = {
  site: "zurich" as SiteName,
  url: "https://zurich.example:8200",
  tokenFile: "./zurich.token",
  fingerprint: null,
};
const oslo: PeerEntry = {
  ...zurich,
  site: "oslo" as SiteName,
  url: "https://oslo.example",
  tokenFile: "/etc/o.token",
};
const fingerprint = "ab".repeat(32);

const file = `# The vault of the office in Calgary.
edition: commercial # licence in the drawer
site: calgary

data: ./calgary
listen: { host: 127.0.0.1, port: 8200 }
replication:
  # Who has a copy.
  peers: []
  batch_size: 50 # as measured
alerts: { webhook: "https://hooks.example/a-very-long-path-that-would-be-folded-if-lines-were-folded/at/some/width?and=more" }
`;

const one = `    - site: zurich
      url: https://zurich.example:8200
      token_file: ./zurich.token
`;

describe("adding a peer", () => {
  it("changes nothing of the file but the list: comments, order and long lines stay", () => {
    expect(withPeer(file, zurich)).toBe(file.replace("  peers: []\n", `  peers:\n${one}`));
  });

  it("adds behind the ones that are there, written as they are", () => {
    const two = withPeer(withPeer(file, zurich), { ...oslo, fingerprint });
    const added = `    - site: oslo\n      url: https://oslo.example\n      token_file: /etc/o.token\n      tls: { fingerprint: ${fingerprint} }\n`;
    expect(two).toBe(file.replace("  peers: []\n", `  peers:\n${one}${added}`));
    const flow = file.replace("peers: []", "peers: [ { site: a, url: https://a.example, token_file: a } ]");
    expect(withPeer(flow, oslo)).toBe(
      flow.replace(
        "token_file: a } ]",
        "token_file: a }, { site: oslo, url: https://oslo.example, token_file: /etc/o.token } ]",
      ),
    );
  });

  it("works inside braces, and in a file of JSON", () => {
    const flow = "site: calgary\nreplication: { peers: [] } # later\n";
    expect(withPeer(flow, oslo)).toBe(
      "site: calgary\nreplication: { peers: [ { site: oslo, url: https://oslo.example, token_file: /etc/o.token } ] } # later\n",
    );
    const json = JSON.stringify({ site: "calgary", replication: { peers: [] } });
    expect(withPeer(json, { ...oslo, fingerprint })).toContain("site: oslo");
  });

  it("of a name that is there changes that one, and what was said about it stays", () => {
    const before = withPeer(file, zurich).replace("- site: zurich", "- site: zurich # the bunker");
    const after = withPeer(before, {
      ...zurich,
      url: "https://z.example",
      tokenFile: "./z.token",
      fingerprint,
    });
    expect(after).toBe(
      before
        .replace("https://zurich.example:8200", "https://z.example")
        .replace("./zurich.token\n", `./z.token\n      tls: { fingerprint: ${fingerprint} }\n`),
    );
    expect(withPeer(after, { ...zurich, url: "https://z.example", tokenFile: "./z.token" })).not.toContain(
      "tls",
    );
  });

  it("is refused where the file has no list of peers", () => {
    expect(() => withPeer("site: calgary\n", zurich)).toThrow(/no list replication\.peers/);
  });
});

describe("removing a peer", () => {
  it("undoes what adding did", () => {
    const two = withPeer(withPeer(file, zurich), oslo);
    expect(withoutPeer(two, oslo.site)).toBe(withPeer(file, zurich));
    expect(withoutPeer(withPeer(file, zurich), zurich.site)).toBe(file);
  });

  it("of a name that is not there is refused", () => {
    expect(() => withoutPeer(file, zurich.site)).toThrow(/zurich is not among/);
  });
});
