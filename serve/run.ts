/** From the flags of `nexd serve` to its two halves in one process. */
import { openControl, readOidc } from "../control/mod.ts";
import { type CommandContext, type Relay, runRelay, type Values } from "../relay/mod.ts";
import { announceJson, announceText, joinLine, type Started } from "./announce.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { isService, joinFile, keepJoinLine } from "./service.ts";
import { serveSettings } from "./settings.ts";
import { shareOf } from "./share.ts";

/** What the command line gives to the command. */
export type ServeContext = Omit<CommandContext, "guest" | "onboard" | "self">;

/**
 * `nexd serve`: runs the control plane and the relay until the signal.
 *
 * The relay has the port, the certificates and the service manager; the control plane is its guest.
 *
 * @throws errors with an `exitCode` for what the user can put right
 */
export async function runServe(values: Values, context: ServeContext): Promise<void> {
  const { control: settings, names, relay: relayValues, ...place } = serveSettings(values);
  const { hostname, stateDir } = place;
  let port = 443;
  const oidc = await readOidc(settings.oidc);
  const control = await openControl({
    ...place,
    ...settings,
    oidc,
    version: context.version,
    port: () => port,
  });
  const share = shareOf(control, hostname);
  const started = async (relay: Relay, caPath: string | undefined) => {
    port = relay.address.port;
    share.ca = relay.ca;
    // Last of all: a start that fails makes no user whose password nobody gets to see.
    const first = await control.bootstrap();
    await control.publishRelay(
      { hostname, port, stunPort: relay.stunPort ?? 0, ca: relay.ca ?? "" },
      async () => {
        const { gauges, counters } = await relay.snapshot();
        const { bytesReceived = 0, bytesSent = 0 } = counters;
        return { clients: gauges.keysLocal, bytes: bytesReceived + bytesSent };
      },
    );
    const service = isService();
    const said: Started = {
      ...first,
      // Who chose it knows it.
      password: settings.admin.password === undefined ? first.password : undefined,
      serviceUrl: control.serviceUrl(),
      stateDir,
      relay: { hostname, port, stunPort: relay.stunPort, publicKey: relay.publicKey },
      ca: caPath === undefined || relay.ca === undefined
        ? undefined
        : { path: caPath, fingerprint: fingerprintOf(relay.ca) },
      version: context.version,
    };
    await keepJoinLine(stateDir, joinLine(said));
    const shown: Started = service
      ? { ...said, password: undefined, regKey: undefined, joinFile: joinFile(stateDir) }
      : said;
    if (context.json) context.print(announceJson(shown));
    else for (const line of announceText(shown)) context.print(line);
  };
  try {
    await runRelay(relayValues, {
      ...context,
      guest: {
        names,
        owns: share.owns,
        fetch: share.fetch,
        started,
        answers: async () => {
          const live = new Request("https://localhost/private/live");
          const nobody: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 0 };
          return (await control.fetch(live, nobody)).ok;
        },
      },
    });
  } finally {
    await control.close();
  }
}
