/**
 * Which documents have commands, and on what ground each page's are run.
 *
 * @module
 */

/** The ground of a page. */
export interface Page {
  path: string;
  /** Agent hosts, named `a`, `b`, … */
  hosts: number;
  nat: "open" | "cone" | "symmetric";
  /** Host of commands of which nothing says where they run. */
  usual: string;
  /** Stands already before the first command: a control plane; or with agents on all hosts, too. */
  before?: "control" | "mesh";
  postgres?: true;
  /** A second STUN server stands on the relay's host, as its kind of NAT takes two to tell. */
  stun?: true;
}

/** Names in the documents by host of the lab. */
export const NAMES: Readonly<Record<string, readonly string[]>> = {
  control: ["nexd.example.org", "api.nexd.example.org", "auth.nexd.example.org"],
  relay: ["relay.example.org", "relay1.example.org", "relay.corp"],
};

/** Hosts of the lab by what comments in blocks say. */
export const PLACES: Readonly<Record<string, string>> = {
  "on the host of the control plane": "control",
  "on the second host": "relay",
  "on the relay's host": "relay",
  "on a host that joins": "a",
  "on another host that joins": "b",
};

const PAGES_BY_PATH: Record<string, Omit<Page, "path">> = {
  "README.md": { hosts: 2, nat: "symmetric", usual: "control", stun: true },
  "docs/accounts.md": { hosts: 1, nat: "open", usual: "control", before: "control" },
  "docs/client.md": { hosts: 1, nat: "open", usual: "control", before: "control" },
  "docs/control-audit.md": { hosts: 1, nat: "open", usual: "control", before: "control" },
  "docs/control.md": { hosts: 1, nat: "cone", usual: "control", postgres: true },
  "docs/quick-start.md": { hosts: 2, nat: "symmetric", usual: "control", stun: true },
  "docs/troubleshooting.md": { hosts: 2, nat: "symmetric", usual: "a", before: "mesh", stun: true },
  "docs/agent.md": { hosts: 2, nat: "cone", usual: "a", before: "mesh", stun: true },
  "docs/relay.md": { hosts: 1, nat: "open", usual: "relay", before: "control" },
};

/** All pages whose commands are run. */
export const PAGES: readonly Page[] = Object.entries(PAGES_BY_PATH)
  .map(([path, page]) => ({ path, ...page }));

/** All documents of the project, as paths. */
export function documents(root: string): string[] {
  const of = (folder: string) =>
    [...Deno.readDirSync(root + folder)].filter(({ name }) => name.endsWith(".md"))
      .map(({ name }) => folder + name).sort();
  return [...of(""), ...of("docs/")];
}
