/**
 * The agent's door: the commands of the command line.
 *
 * @module
 */
import { ApiClient } from "./api/mod.ts";
import { Agent, type AgentConfig, freeUdpPort, readConfig, type Values } from "./daemon/mod.ts";
import { securityGroups } from "./firewall/mod.ts";
import { hostsFile } from "./names/mod.ts";
import { localEndpoint, NatWatch, PathProber, probe } from "./netcheck/mod.ts";
import { askPassword } from "./onboarding/mod.ts";
import { lockFile, loopbackAliases } from "./platform/mod.ts";
import { Heart, type Notifier } from "./service/mod.ts";
import { standIns } from "./crossing/mod.ts";
import { routing } from "./routing/mod.ts";
import { cleanLeftover, openDevice } from "./wireguard/mod.ts";
import { Proxy } from "../proxy/mod.ts";

export { AgentError } from "./errors.ts";
export type { AgentStatus, PeerStatus } from "./ctl/mod.ts";

/** What a command may use of its surroundings. */
export interface Context {
  /** Print JSON, one object a line. */
  json: boolean;
  signal: AbortSignal;
  version: string;
  print(line: string): void;
  /** Where the service manager hears of the agent; silent without one. */
  notifier?: Notifier;
}

/** A loop that has not gone round for so long hangs, ms. */
const HANGS = 60_000;

/**
 * `nexd`, `nexd relay` and `nexd router`: runs the agent until the signal aborts, then removes what it
 * made on the host.
 *
 * @param mode what the command makes of this host
 * @throws errors with `exitCode` and one sentence for the user
 */
export async function runAgent(
  values: Values,
  context: Context,
  mode: AgentConfig["mode"] = "agent",
): Promise<void> {
  const config = await readConfig(values, context.version, mode);
  const api = new ApiClient({
    apiUrl: config.join.apiUrl,
    caCerts: config.caCerts,
    insecureSkipTlsVerify: config.insecureSkipTlsVerify,
    version: config.version,
  });
  const routes = routing(config);
  const crossing = standIns(config);
  const ending = new AbortController();
  const signal = AbortSignal.any([context.signal, ending.signal]);
  let heart: Heart | undefined;
  try {
    const agent = new Agent(config, {
      api,
      cleanLeftover,
      openDevice,
      newProxy: (settings) => new Proxy(settings),
      // Elsewhere the system has all of them.
      ...(Deno.build.os === "darwin" ? { loopback: loopbackAliases(config.interfaceName) } : {}),
      probe,
      natWatch: (settings) => new NatWatch(settings),
      pathProber: (settings) => new PathProber(settings),
      localEndpoint,
      askPassword,
      showLogin: (prompt) => {
        if (prompt === undefined) return;
        const { url, code, expiresAt } = prompt;
        context.print(
          context.json
            ? JSON.stringify({
              event: "login",
              url,
              code,
              expires_at: new Date(expiresAt).toISOString(),
            })
            : `To let this host in, open ${url} and confirm the code ${code}`,
        );
      },
      controls: {
        stop: () => ending.abort(),
        exitNodes: () => routes.exitNodes(),
        setExitNodeClient: (on) => routes.setExitNodeClient(on),
        ...(config.nexctlVersion === undefined ? {} : { nexctlVersion: config.nexctlVersion }),
      },
      rooms: [
        securityGroups({ interfaceName: config.interfaceName }),
        routes,
        crossing,
        hostsFile({ owner: config.interfaceName, forbidden: [config.join.apiUrl.hostname] }),
      ],
      crosses: () => crossing.able,
      networks: () => routes.wish(),
      lock: lockFile,
      freeUdpPort,
      now: Date.now,
    });
    routes.onChange = () => agent.wake();
    const { notifier } = context;
    heart = notifier && new Heart(notifier, () => agent.vitals(), () => agent.beats(HANGS));
    signal.addEventListener("abort", () => heart?.stop(), { once: true });
    await agent.run(signal, (status) => {
      heart?.tell();
      const { tunnel_ipv4, tunnel_ipv6 } = status;
      context.print(
        context.json
          ? JSON.stringify({
            event: "running",
            interface: status.interface,
            tunnel_ipv4,
            tunnel_ipv6,
          })
          : `nexd is running: ${tunnel_ipv4} ${tunnel_ipv6} on ${status.interface}`,
      );
    });
  } finally {
    heart?.stop();
    context.notifier?.close();
    api.close();
  }
}
