/**
 * What runs on the hosts of the security group test, one mode a process; each prints lines of
 * `what TIME` (ms since the epoch).
 *
 * - `serve UDP TCP SINK`: echoes on the first two ports, tells of each packet at the third.
 * - `probe PORT ADDRESS…`: a datagram each 20 ms from a port of its own, so that each is a new flow;
 *   tells of each echo.
 * - `talk PORT ADDRESS`: one connection, a byte each 20 ms; tells of each echo.
 * - `flood PORT ADDRESS…`: datagrams all the time; tells of each hundred.
 * - `api CA PASSWORD`: signs in, then sends the requests of its standard input (JSON lines: method,
 *   path, body) one after the other and prints the answers.
 *
 * @module
 */

/** A request of `api`. */
export interface ApiCall {
  method: string;
  path: string;
  body?: unknown;
  /** What to wait after it, ms. */
  wait?: number;
}

/** What `api` prints for each. */
export interface ApiAnswer {
  status: number;
  // deno-lint-ignore no-explicit-any
  body: any;
  /** When the answer was there, ms since the epoch. */
  at: number;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

function udp(port = 0, hostname = "::"): Deno.DatagramConn {
  return Deno.listenDatagram({ transport: "udp", hostname, port });
}

async function serve(echo: number, tcp: number, sink: number): Promise<void> {
  const socket = udp(echo);
  void (async () => {
    for await (const [bytes, from] of socket) await socket.send(bytes, from).catch(() => {});
  })();
  void (async () => {
    for await (const _ of udp(sink)) print(`sunk ${Date.now()}`);
  })();
  const listener = Deno.listen({ hostname: "::", port: tcp });
  print("ready");
  for await (const connection of listener) {
    void connection.readable.pipeTo(connection.writable).catch(() => {});
  }
}

async function probe(port: number, addresses: string[]): Promise<void> {
  for (;;) {
    for (const hostname of addresses) {
      const socket = udp(0, hostname.includes(":") ? "::" : "0.0.0.0");
      void socket.send(new Uint8Array(1), { transport: "udp", hostname, port }).catch(() => {});
      void socket.receive().then(() => print(`${hostname} ${Date.now()}`), () => {});
      setTimeout(() => socket.close(), 1_000);
    }
    await pause(20);
  }
}

async function talk(port: number, hostname: string): Promise<void> {
  const connection = await Deno.connect({ hostname, port });
  connection.setNoDelay();
  const byte = new Uint8Array(1);
  for (;;) {
    await connection.write(byte);
    if (await connection.read(byte) === null) break;
    print(`talked ${Date.now()}`);
    await pause(20);
  }
}

async function flood(port: number, addresses: string[]): Promise<void> {
  const targets = addresses.map((hostname) => ({
    socket: udp(0, hostname.includes(":") ? "::" : "0.0.0.0"),
    to: { transport: "udp" as const, hostname, port },
  }));
  const bytes = new Uint8Array(100);
  for (let sent = 0;;) {
    for (const { socket, to } of targets) {
      await socket.send(bytes, to).catch(() => {});
      if (++sent % 100 === 0) print(`flooded ${Date.now()}`);
    }
    // Others want the processor, too.
    if (sent % 10 === 0) await pause(2);
  }
}

async function api(ca: string, password: string): Promise<void> {
  const client = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(ca)] });
  const scope = ["organizations", "devices"].flatMap((r) => [`read:${r}`, `write:${r}`]).join(" ");
  const signedIn = await fetch("https://api.control/oauth/token", {
    client,
    method: "POST",
    body: new URLSearchParams({
      grant_type: "password",
      client_id: "nexodus-cli",
      username: "admin",
      password,
      scope,
    }),
  });
  const { access_token } = await signedIn.json();
  const input = await new Response(Deno.stdin.readable).text();
  for (const line of input.trim().split("\n")) {
    const { method, path, body, wait = 0 }: ApiCall = JSON.parse(line);
    const response = await fetch(`https://api.control${path}`, {
      client,
      method,
      headers: { authorization: `Bearer ${access_token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer: ApiAnswer = {
      status: response.status,
      body: await response.json().catch(() => undefined),
      at: Date.now(),
    };
    print(JSON.stringify(answer));
    await pause(wait);
  }
  client.close();
}

if (import.meta.main) {
  const [mode, ...args] = Deno.args;
  const [first, ...rest] = args;
  if (mode === "serve") await serve(Number(first), Number(rest[0]), Number(rest[1]));
  if (mode === "probe") await probe(Number(first), rest);
  if (mode === "talk") await talk(Number(first), rest[0]!);
  if (mode === "flood") await flood(Number(first), rest);
  if (mode === "api") await api(first!, rest[0]!);
}
