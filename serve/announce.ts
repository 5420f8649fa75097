/** What `nexd serve` says to the operator once it is up. */

/** What there is to say. */
export interface Started {
  serviceUrl: string;
  stateDir: string;
  /** Name of the first user. */
  username: string;
  /** Only at the start that made the user, if it was made up. */
  password?: string | undefined;
  /** A registration key that joins hosts, if it is still known and still good. */
  regKey?: string | undefined;
  /** Where the line that joins a host is, where it is not to be shown. */
  joinFile?: string;
  first: boolean;
  /** Where users sign in, if that is not here. */
  issuer?: string;
  relay: { hostname: string; port: number; stunPort: number | undefined; publicKey: string };
  /** Where the private CA's certificate is, and its SHA-256 fingerprint in hex. */
  ca: { path: string; fingerprint: string } | undefined;
  version: string;
}

/** The command that joins a host. */
export function joinLine({ serviceUrl, regKey, ca }: Started): string | undefined {
  if (regKey === undefined) return undefined;
  return `nexd --reg-key '${serviceUrl}#${regKey}'${trust(ca)}`;
}

/** How a host comes to trust the private CA. */
function trust(ca: Started["ca"]): string {
  return ca === undefined ? "" : ` --ca sha256:${ca.fingerprint}`;
}

/** One JSON object. */
export function announceJson(said: Started): string {
  const { serviceUrl, username, password, regKey, relay, ca, version } = said;
  return JSON.stringify({
    service_url: serviceUrl,
    dashboard: `${serviceUrl}/ui/`,
    ...(said.issuer === undefined ? { username } : { issuer: said.issuer }),
    ...(password === undefined ? {} : { password }),
    ...(regKey === undefined ? {} : { reg_key: regKey, join: joinLine(said) }),
    ...(ca === undefined ? {} : { ca: ca.path, ca_fingerprint: `sha256:${ca.fingerprint}` }),
    relay: {
      hostname: relay.hostname,
      port: relay.port,
      ...(relay.stunPort === undefined ? {} : { stun_port: relay.stunPort }),
      public_key: relay.publicKey,
    },
    pid: Deno.pid,
    version,
  });
}

/** Lines for people: all there is to know at the first start, the way in at later ones. */
export function announceText(said: Started): string[] {
  const { serviceUrl, stateDir, username, password, relay, ca, first } = said;
  const join = joinLine(said);
  const stun = relay.stunPort === undefined ? "" : `, STUN on UDP port ${relay.stunPort}`;
  const lines = [`nexd serves ${serviceUrl} and its relay${stun}; its state is in ${stateDir}`];
  if (said.issuer !== undefined) {
    lines.push(`Users sign in at ${said.issuer}; the dashboard is at ${serviceUrl}/ui/`);
  }
  if (said.joinFile !== undefined) {
    return [...lines, `The line that joins a host is in ${said.joinFile}`];
  }
  if (!first) {
    if (join !== undefined) lines.push(`Join a host with: ${join}`);
    return lines;
  }
  lines.push(
    "",
    `Sign in as     ${username}`,
    `with password  ${password ?? "(as chosen)"}${
      password === undefined ? "" : "   (shown only now)"
    }`,
    `at             ${serviceUrl}/ui/`,
    "",
    "Join a host:",
    `  ${join}`,
    "or, as a user, by a link that is then shown:",
    `  nexd --service-url ${serviceUrl}${trust(ca)}`,
  );
  if (ca !== undefined) {
    lines.push(
      "",
      `The certificate comes from a private CA made here, ${ca.path}. A host that joins with`,
      "the line above fetches it and checks its fingerprint. For all programs of a host, browsers",
      "and Nexodus' own agent among them (Debian; other systems have a directory like this):",
      `  curl -k ${serviceUrl}/ca.crt -o /usr/local/share/ca-certificates/nexd.crt`,
      "  openssl x509 -noout -fingerprint -sha256 -in /usr/local/share/ca-certificates/nexd.crt",
      `    # has to be ${colons(ca.fingerprint)}`,
      "  update-ca-certificates",
    );
  }
  return lines;
}

/** As openssl writes it. */
function colons(hex: string): string {
  return hex.toUpperCase().match(/../g)!.join(":");
}
