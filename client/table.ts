/**
 * The commands that administer a control plane: their names and flags. Pure data, from which the
 * command line is built; what each does is loaded when it runs.
 *
 * @module
 */
import { CLIENT_OPTIONS, FULL, idOption, type OptionSpec, textOption } from "./options.ts";

export { CLIENT_OPTIONS } from "./options.ts";

/** One command. */
export interface ClientCommandSpec {
  /** Its words, as one types them behind `nexd`; also the name of its function. */
  path: string;
  help: string;
  options: OptionSpec[];
}

/** Commands that only group others, and what they say about it. */
export const CLIENT_GROUPS: Record<string, string> = {
  device: "devices of a VPC",
  "device metadata": "what is noted about a device",
  vpc: "VPCs: private networks",
  "vpc metadata": "what is noted about all devices of a VPC",
  "reg-key": "registration keys: they let hosts join",
  "security-group": "security groups: what devices may send and receive",
  organization: "organizations: users who share VPCs",
  "organization user": "members of an organization",
  invitation: "invitations into an organization",
  user: "your account, and your session at the control plane",
  "relay-region": "public relays that agents use (for the operator of a control plane)",
  audit: "the audit log: who did what when",
  "service-network": "service networks, where the control plane has them",
};

const ORGANIZATION = (help = "the organization"): OptionSpec => idOption("organization-id", help);
const VPC = (help = "the VPC"): OptionSpec => idOption("vpc-id", help);
const DEVICE: OptionSpec = idOption("device-id", "the device");
const USER: OptionSpec = idOption("user-id", "the user");
const REG_KEY: OptionSpec = idOption("reg-key-id", "the registration key");
const GROUP = (help = "the security group"): OptionSpec => idOption("security-group-id", help);
const INVITATION: OptionSpec = idOption("inv-id", "the invitation");
const NETWORK: OptionSpec = idOption("service-network-id", "the service network");
const KEY: OptionSpec = textOption("key", "name of the entry");
const DESCRIPTION: OptionSpec = textOption("description", "what it is for");

const ACCOUNT: OptionSpec = textOption("account", "the account, by user name or id", "NAME");
const ACCOUNT_FIELDS = [
  textOption("full-name", "the person's name", "NAME"),
  textOption("email", "invitations to this address are the person's", "ADDRESS"),
  {
    ...textOption("operator", "whether it runs this control plane", "yes|no"),
    choices: ["yes", "no"],
  },
];
const PASSWORD_FROM: OptionSpec[] = [
  {
    name: "ask",
    kind: "boolean",
    default: false,
    help: "ask for the password on the terminal; for your own that is so anyway",
  },
  {
    name: "password-stdin",
    kind: "boolean",
    default: false,
    help: "read the password from standard input; for your own the old one, then the new one",
  },
];

const RELAY_REGION: OptionSpec = {
  ...textOption("relay-region", "the relay, by its name, host or id", "NAME"),
};
const RELAY_FIELDS = [
  textOption("name", "its name; otherwise its host's", "NAME"),
  textOption("port", "its TCP port; otherwise 443", "PORT"),
  textOption("stun-port", "its STUN port, 0 for none; otherwise 3478", "PORT"),
  textOption("relay-ca", "PEM file of the only authorities to trust there", "FILE"),
  textOption("weight", "0 to 1000: of relays equally near the heaviest is used", "N"),
  textOption("region-id", "its region in the DERP map, shared by relays that are linked", "N"),
];

const EXPIRATION = (help: string): OptionSpec => textOption("expiration", help, "TIME");
const SETTINGS: OptionSpec = textOption("settings", "settings for hosts: a JSON object", "JSON");
const RULES = [
  textOption("inbound-rules", "what may come in: a JSON array of rules; [] is everything", "JSON"),
  textOption("outbound-rules", "what may go out, likewise", "JSON"),
];

/** Flags that may stand before the words of the commands of a group, besides those of all. */
export const CLIENT_GROUP_OPTIONS: Record<string, OptionSpec[]> = {
  "organization user": [ORGANIZATION()],
};

/** All of them. */
export const CLIENT_COMMANDS: ClientCommandSpec[] = [
  command("device list", "list your devices, or all of a VPC", [
    VPC("all devices of this VPC; otherwise your own of every VPC"),
    FULL,
  ]),
  command("device update", "change a device", [
    DEVICE,
    textOption("hostname", "its new host name", "NAME"),
    GROUP("its new security group"),
    FULL,
  ]),
  command("device delete", "delete a device", [DEVICE, FULL]),
  command("device metadata get", "show what is noted about a device", [
    DEVICE,
    textOption("key", "only this entry"),
    FULL,
  ]),
  command("device metadata set", "note something about a device", [
    DEVICE,
    KEY,
    textOption("value", "what is noted: a JSON object", "JSON"),
    FULL,
  ]),
  command("device metadata delete", "delete one entry", [DEVICE, KEY]),
  command("device metadata clear", "delete all entries", [DEVICE]),

  command("vpc list", "list the VPCs of your organizations", [FULL]),
  command("vpc create", "create a VPC", [
    ORGANIZATION("the organization it is for; otherwise your own"),
    DESCRIPTION,
    textOption("ipv4-cidr", "its own IPv4 range; otherwise 100.64.0.0/10", "CIDR"),
    textOption("ipv6-cidr", "its own IPv6 range; otherwise 200::/64", "CIDR"),
    FULL,
  ]),
  command("vpc update", "change a VPC", [VPC(), DESCRIPTION, FULL]),
  command("vpc delete", "delete a VPC that has no devices", [VPC(), FULL]),
  command("vpc metadata get", "show what is noted about all devices of a VPC", [VPC(), FULL]),

  command("reg-key list", "list registration keys", [FULL]),
  command("reg-key create", "create a registration key, and show the flag that uses it", [
    VPC("the VPC that hosts join with it; otherwise your own"),
    GROUP("the security group of those hosts; otherwise the VPC's default group"),
    DESCRIPTION,
    {
      name: "single-use",
      kind: "boolean",
      default: false,
      help: "it lets in one host and no other",
    },
    EXPIRATION("when it ends: in 90m, 24h, 7d, or at an RFC 3339 time; otherwise never"),
    SETTINGS,
    FULL,
  ]),
  command("reg-key update", "change a registration key", [
    REG_KEY,
    GROUP("the security group of hosts that join from now on"),
    DESCRIPTION,
    EXPIRATION("when it ends: in 90m, 24h, 7d, at an RFC 3339 time, or never"),
    SETTINGS,
    FULL,
  ]),
  command("reg-key delete", "delete a registration key; hosts that joined with it stay", [
    REG_KEY,
    FULL,
  ]),

  command("security-group list", "list the security groups of your VPCs", [FULL]),
  command("security-group create", "create a security group", [
    VPC("the VPC it is for; otherwise your own"),
    DESCRIPTION,
    ...RULES,
    FULL,
  ]),
  command("security-group update", "change a security group", [
    GROUP(),
    DESCRIPTION,
    ...RULES,
    FULL,
  ]),
  command("security-group delete", "delete a security group that no device is in", [
    GROUP(),
    FULL,
  ]),

  command("organization list", "list the organizations that you are a member of", [FULL]),
  command("organization create", "create an organization", [
    textOption("name", "its name", "NAME"),
    DESCRIPTION,
    FULL,
  ]),
  command("organization delete", "delete an organization", [ORGANIZATION(), FULL]),
  command("organization user list", "list the members of an organization", [
    ORGANIZATION(),
    FULL,
  ]),
  command("organization user delete", "take a member out of an organization", [
    ORGANIZATION(),
    USER,
    FULL,
  ]),

  command("invitation list", "list invitations: to you, and into your organizations", [FULL]),
  command("invitation create", "invite somebody into an organization", [
    ORGANIZATION("the organization; otherwise your own"),
    textOption("email", "who is invited: by e-mail address", "ADDRESS"),
    idOption("user-id", "who is invited: by id"),
    {
      name: "role",
      kind: "list",
      default: ["member"],
      placeholder: "ROLE",
      help: "member or owner; repeat it for both",
    },
    FULL,
  ]),
  command("invitation delete", "withdraw an invitation, or turn it down", [INVITATION]),
  command("invitation accept", "accept an invitation", [INVITATION]),

  command("user login", "sign in, and stay signed in for these commands", []),
  command("user logout", "end that session (nexd logout takes this host out of its VPC)", []),
  command("user get-current", "show who you are", [FULL]),
  command("user list", "list the users that you may see", [FULL]),
  command("user delete", "delete yourself and all that is only yours, or an account (operator)", [
    USER,
    textOption("account", "an account of this control plane, with its devices", "NAME"),
    FULL,
  ]),
  command("user accounts", "list who can sign in (for the operator)", [FULL]),
  command("user create", "make an account, whose password is shown once (for the operator)", [
    textOption("name", "the user name to sign in with", "NAME"),
    ...ACCOUNT_FIELDS,
    ...PASSWORD_FROM,
    FULL,
  ]),
  command("user update", "change an account (for the operator)", [
    ACCOUNT,
    ...ACCOUNT_FIELDS,
    FULL,
  ]),
  command("user disable", "end an account's sessions, and let it sign in no more (operator)", [
    ACCOUNT,
    FULL,
  ]),
  command("user enable", "let a disabled account sign in again (for the operator)", [
    ACCOUNT,
    FULL,
  ]),
  command("user passwd", "change your password, or give an account another one (operator)", [
    textOption("account", "an account of this control plane; otherwise your own", "NAME"),
    ...PASSWORD_FROM,
    FULL,
  ]),
  command("user remove-user", "take a user out of an organization", [
    USER,
    ORGANIZATION(),
    FULL,
  ]),

  command("relay-region list", "list the public relays, with their health", [FULL]),
  command("relay-region add", "add a public relay", [
    textOption("hostname", "where it is: a DNS name or an address", "HOST"),
    ...RELAY_FIELDS,
    FULL,
  ]),
  command("relay-region update", "change a public relay", [
    RELAY_REGION,
    textOption("hostname", "where it is: a DNS name or an address", "HOST"),
    ...RELAY_FIELDS,
    FULL,
  ]),
  command("relay-region drain", "have all agents leave a public relay", [
    RELAY_REGION,
    { name: "undo", kind: "boolean", default: false, help: "have it used again" },
    FULL,
  ]),
  command("relay-region delete", "delete a public relay; agents leave it", [RELAY_REGION, FULL]),

  command("audit list", "list who did what when, in the organizations that you own", [
    textOption("since", "entries of this time and later: 24h, 7d, 2026-01-31T08:00:00Z", "TIME"),
    textOption("actor", "what this user, device or key did: a name, an id or a kind", "NAME"),
    textOption("resource", "what was done to this: a name, an id or a kind such as vpc", "NAME"),
    textOption("action", "what was done, such as vpc.create", "ACTION"),
    ORGANIZATION("the organization; otherwise all of yours"),
    textOption("limit", "how many entries, the newest; otherwise 100", "N"),
    { name: "follow", kind: "boolean", default: false, help: "go on with what comes" },
    FULL,
  ]),

  command("service-network list", "list service networks", [FULL]),
  command("service-network create", "create a service network", [
    ORGANIZATION("the organization it is for; otherwise your own"),
    DESCRIPTION,
    FULL,
  ]),
  command("service-network update", "change a service network", [NETWORK, DESCRIPTION, FULL]),
  command("service-network delete", "delete a service network", [NETWORK, FULL]),
];

function command(path: string, help: string, options: OptionSpec[]): ClientCommandSpec {
  return { path, help, options: [...options, ...CLIENT_OPTIONS] };
}
