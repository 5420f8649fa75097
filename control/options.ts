/** Flags of `nexd control`: data only, so that the command line can be built without this room. */
export const CONTROL_OPTIONS = [
  {
    name: "hostname",
    env: "NEXD_CONTROL_HOSTNAME",
    kind: "string",
    placeholder: "HOST",
    help: "DNS name of the control plane; agents connect to api.HOST, so both names must lead here",
  },
  {
    name: "addr",
    env: "NEXD_CONTROL_ADDR",
    kind: "string",
    default: ":443",
    placeholder: "ADDR",
    help: "address to listen on: :443, 192.0.2.1:8443, [2001:db8::1]:443",
  },
  {
    name: "state-dir",
    env: "NEXD_CONTROL_STATE_DIR",
    kind: "string",
    placeholder: "DIR",
    help: "where the database and the secrets are kept " +
      "(default: /var/lib/nexd/control for root, else $HOME/.nexodus/control)",
  },
  {
    name: "database-url",
    env: "NEXD_DATABASE_URL",
    kind: "string",
    placeholder: "URL",
    help: "keep the data in PostgreSQL, which several control planes may share: " +
      "postgres://USER:PASSWORD@HOST/DATABASE (default: a SQLite file in --state-dir)",
  },
  {
    name: "certmode",
    env: "NEXD_CONTROL_CERT_MODE",
    kind: "string",
    default: "selfsigned",
    choices: ["manual", "selfsigned"],
    help:
      "manual: HOST.crt and HOST.key in --certdir; selfsigned: a private CA made at first start",
  },
  {
    name: "certdir",
    env: "NEXD_CONTROL_CERT_DIR",
    kind: "string",
    placeholder: "DIR",
    help: "directory of the certificate files (default: certs in --state-dir)",
  },
  {
    name: "trusted-proxies",
    env: "NEXD_CONTROL_TRUSTED_PROXIES",
    kind: "list",
    placeholder: "NET,…",
    help: "proxies in front, like 192.0.2.7 or 10.0.0.0/8: what they say in X-Forwarded-For is " +
      "taken for the address of who asks",
  },
  {
    name: "public-port",
    env: "NEXD_CONTROL_PUBLIC_PORT",
    kind: "string",
    placeholder: "PORT",
    help: "port that clients connect to, where a proxy or a router has another one than --addr",
  },
  {
    name: "rate-limit",
    env: "NEXD_CONTROL_RATE_LIMIT",
    kind: "string",
    default: "500",
    placeholder: "N",
    help: "requests a second of one credential, ten times as many at once; an address may send " +
      "twice as many (off: no limit)",
  },
  {
    name: "cors-origin",
    env: "NEXD_CONTROL_CORS_ORIGIN",
    kind: "list",
    placeholder: "ORIGIN,…",
    help: "origin whose pages may use the API, like https://dash.example; repeat it for more",
  },
  {
    name: "oidc-issuer",
    env: "NEXD_CONTROL_OIDC_ISSUER",
    kind: "string",
    placeholder: "URL",
    help: "users sign in at this OpenID Connect issuer, and not with accounts kept here",
  },
  {
    name: "oidc-client-id",
    env: "NEXD_CONTROL_OIDC_CLIENT_ID",
    kind: "string",
    default: "nexodus-cli",
    placeholder: "ID",
    help: "what agents and commands are called there: a public client with the device flow",
  },
  {
    name: "oidc-web-client-id",
    env: "NEXD_CONTROL_OIDC_WEB_CLIENT_ID",
    kind: "string",
    placeholder: "ID",
    help: "what the dashboard is called there: a client that redirects to " +
      "https://HOST/ui/ (default: as --oidc-client-id)",
  },
  {
    name: "oidc-client-secret-file",
    env: "NEXD_CONTROL_OIDC_CLIENT_SECRET_FILE",
    kind: "string",
    placeholder: "FILE",
    help: "file with the secret of --oidc-web-client-id, where that is a confidential client there",
  },
  {
    name: "oidc-audience",
    env: "NEXD_CONTROL_OIDC_AUDIENCE",
    kind: "string",
    default: "account",
    placeholder: "NAME",
    help: "aud that access tokens of that issuer have to hold",
  },
  {
    name: "oidc-operator",
    env: "NEXD_CONTROL_OIDC_OPERATOR",
    kind: "list",
    placeholder: "SUB,…",
    help: "sub of a user there who runs this control plane; repeat it for more",
  },
  {
    name: "oidc-ca",
    env: "NEXD_CONTROL_OIDC_CA",
    kind: "string",
    placeholder: "FILE",
    help: "PEM file of authorities that its certificate may come from, besides those of the system",
  },
  {
    name: "audit-days",
    env: "NEXD_CONTROL_AUDIT_DAYS",
    kind: "string",
    default: "365",
    placeholder: "DAYS",
    help: "how long the audit log keeps what was done (off: as long as there is room)",
  },
  {
    name: "audit-rows",
    env: "NEXD_CONTROL_AUDIT_ROWS",
    kind: "string",
    default: "100000",
    placeholder: "N",
    help: "how many entries of one organization the audit log keeps, the newest",
  },
  {
    name: "admin-username",
    env: "NEXD_ADMIN_USERNAME",
    kind: "string",
    default: "admin",
    placeholder: "NAME",
    help: "name of the first user; read at the first start only",
  },
  {
    name: "admin-password",
    env: "NEXD_ADMIN_PASSWORD",
    kind: "string",
    placeholder: "PASSWORD",
    help: "password of the first user (default: generated and printed once); first start only",
  },
] as const;

const PLACE = [
  {
    name: "state-dir",
    env: "NEXD_CONTROL_STATE_DIR",
    kind: "string",
    placeholder: "DIR",
    help: "the directory of nexd control or nexd serve (default: the one where these keep theirs)",
  },
  {
    name: "database-url",
    env: "NEXD_DATABASE_URL",
    kind: "string",
    placeholder: "URL",
    help: "the PostgreSQL database, where the data is in one",
  },
] as const;

/** Commands beside `nexd control`; each takes one argument. */
export const CONTROL_COMMANDS = [
  {
    name: "backup",
    help: "write the control plane's whole state to a file, while it runs",
    argument: "<FILE>",
    options: PLACE,
    run: "runBackup",
  },
  {
    name: "restore",
    help:
      "put a backup in the place of a stopped control plane's state, in either kind of database",
    options: [
      ...PLACE,
      {
        name: "force",
        kind: "boolean",
        default: false,
        help: "replace a state that is there; its files are kept in before-restore",
      },
    ],
    argument: "<FILE>",
    run: "runRestore",
  },
  {
    name: "recover",
    help: "give an account of the control plane a new password, on the host that has its database",
    argument: "<ACCOUNT>",
    options: PLACE,
    run: "runRecover",
  },
] as const;
