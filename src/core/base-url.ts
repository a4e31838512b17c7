/**
 * The address of a site as people type it: scheme, host, port and perhaps a path that stands before the API's. URL parsers mend what
 * people mistype, each in its own way, and a token then goes to a host that nobody named; so what needs mending is refused.
 */
export type BaseUrl =
  | { readonly kind: "read"; readonly url: URL }
  /** `remedy` says what would be right. */
  | { readonly kind: "refused"; readonly fault: string; readonly remedy: string };

const example = "it is like https://calgary.example";

/** Reads an address. Blanks around it and slashes at its end are dropped; everything else means what it says, or is refused. */
export function readBaseUrl(text: string): BaseUrl {
  const typed = text.trim();
  const fault = faultIn(typed);
  if (fault) return { kind: "refused", ...fault };
  if (!URL.canParse(typed)) return refused("is not the address of a site", example);
  const url = new URL(typed);
  url.pathname = url.pathname.replace(/\/+$/, "");
  return { kind: "read", url };
}

/** The URL of a call under an address; `path` begins with a slash and may have a query. Never leads to another host. */
export function urlUnder(base: URL, path: string): URL {
  const [pathname = "", ...query] = path.split("?");
  const url = new URL(base.origin);
  url.pathname = base.pathname.replace(/\/+$/, "") + pathname;
  if (query.length > 0) url.search = query.join("?");
  return url;
}

type Fault = { readonly fault: string; readonly remedy: string };

function faultIn(typed: string): Fault | undefined {
  if (/[\s\u0000-\u001f\u007f]/.test(typed))
    return { fault: "has a blank or a line end in it", remedy: example };
  if (typed.includes("\\")) return { fault: "has a backslash in it", remedy: `write slashes: ${example}` };
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(typed)?.[1]?.toLowerCase();
  if (scheme !== "http" && scheme !== "https") return schemeFault(typed);
  const rest = typed.slice(scheme.length + 3);
  const [authority = ""] = rest.split(/[/?#]/, 1);
  return authorityFault(authority) ?? pathFault(rest.slice(authority.length));
}

function schemeFault(typed: string): Fault {
  const isScheme = /^https?:/i.test(typed);
  const isOther = !isScheme && typed.includes("://");
  const bare = typed.replace(/^https?:\/*/i, "").replace(/^\/+/, "");
  const meant =
    URL.canParse(`https://${bare}`) && !isOther && !bare.includes("@") ? `write https://${bare}` : example;
  if (isScheme) return { fault: "needs two slashes after http: or https:", remedy: meant };
  return { fault: "does not begin with https:// (or http://)", remedy: meant };
}

function authorityFault(authority: string): Fault | undefined {
  if (authority.includes("@")) {
    return { fault: "has a user name or a password in it", remedy: "leave out what stands before the @" };
  }
  if (authority.replace(/:\d*$/, "") === "") return { fault: "names no host", remedy: example };
  if (authority.includes("%"))
    return { fault: "has an escape (%) in its host", remedy: "write the host's name as it is" };
  if (authority.endsWith(":"))
    return { fault: "has a colon and no port", remedy: "leave out the colon, or name the port" };
  const colons = authority.split(":").length - 1;
  if (colons > 1 && !authority.startsWith("[")) {
    return {
      fault: "has an IPv6 address without brackets",
      remedy: "write it as https://[2001:db8::1]:8200",
    };
  }
  return undefined;
}

function pathFault(after: string): Fault | undefined {
  if (/[?#]/.test(after))
    return { fault: "has a query or a fragment", remedy: "leave out what stands from ? or # on" };
  const segments = after.replace(/\/+$/, "").split("/").slice(1);
  if (segments.some((segment) => segment === "")) {
    return { fault: "has an empty step (//) in its path", remedy: "write each slash once" };
  }
  if (segments.some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment))) {
    return { fault: "has a step . or .. in its path", remedy: "write the path that you mean" };
  }
  if (after.includes("%"))
    return { fault: "has an escape (%) in its path", remedy: "use a path of plain letters" };
  return undefined;
}

function refused(fault: string, remedy: string): BaseUrl {
  return { kind: "refused", fault, remedy };
}
