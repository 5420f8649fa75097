/**
 * `nexd relayderp`: from flags to a running relay, and what it says to the operator.
 */
import { getLogger } from "@logtape/logtape";
import type { AdmissionConfig } from "../admission/mod.ts";
import { type OpenedSource, openSource, readPem } from "./certificates.ts";
import { RelayError } from "../errors.ts";
import { checkDebugKeyFile, type Guest } from "../http/mod.ts";
import { loadServerKey } from "../key_file.ts";
import { metadataOf, type OnboardMetadata } from "./metadata.ts";
import { loadMeshKey, parseMeshWith } from "../mesh/mod.ts";
import { loadRateConfig, type Notifier, openNotifier, watch } from "../ops/mod.ts";
import { runRealtime } from "../net/mod.ts";
import { type Relay, startRelay } from "../relay.ts";
import { readSettings, type Settings, type Values } from "./settings.ts";
import { endWaiting, startAhead } from "../worker/mod.ts";
import { type CommandSelf, workersFor } from "./workers.ts";

export type { Values } from "./settings.ts";

const logger = getLogger(["nexd", "relay"]);

/** What the command line gives a command. */
export interface CommandContext {
  json: boolean;
  print(line: string): void;
  /** Aborted when the command is to end. */
  signal: AbortSignal;
  version: string;
  /** Has SIGHUP call this instead of ending the command. */
  onReload?: (reload: () => void) => void;
  /** How to start this program again. Undefined: it cannot. */
  self?: CommandSelf | undefined;
  /** Joins a VPC with the flags of `--onboard`; from the agent's room. */
  onboard?: Onboard | undefined;
  /** What else is served in this process, on the relay's port. */
  guest?: GuestService | undefined;
}

/** An application that shares the relay's port, its certificate and its life. */
export interface GuestService extends Guest {
  /** Names beside the relay's that the certificate has to be for. */
  readonly names: readonly string[];
  /** The port is open: says so to the operator, in the relay's place. */
  started(relay: Relay, caPath: string | undefined): Promise<void>;
  /** Whether it goes on, for the watchdog. */
  answers(): Promise<boolean>;
}

/** The agent's side of on-boarding. */
export type Onboard = (values: Values, version: string) => Promise<{
  /** Where the list of devices is kept. */
  cacheFile: string;
  join(relay: {
    metadata: OnboardMetadata;
    port: number;
    signal: AbortSignal;
  }, on: {
    devices(publicKeysHex: string[]): void;
    state(text: string): void;
  }): Promise<Joined>;
}>;

/** The relay's membership of a VPC. */
export interface Joined {
  readonly deviceId: string;
  /** Publishes this where it differs from what was. */
  update(metadata: OnboardMetadata): void;
  close(): Promise<void>;
}

/**
 * Runs the relay until the signal aborts.
 *
 * @throws an error with `exitCode` for anything the operator can mend
 */
export async function runRelay(values: Values, context: CommandContext): Promise<void> {
  const settings = readSettings(values);
  const notifier = openNotifier();
  const closers: (() => unknown)[] = [() => notifier.close()];
  try {
    await serve(values, settings, context, notifier, closers);
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

async function serve(
  values: Values,
  settings: Settings,
  context: CommandContext,
  notifier: Notifier,
  closers: (() => unknown)[],
): Promise<void> {
  const { signal, version } = context;
  const normal = runRealtime(settings.realtime);
  if (settings.realtime === "on" && normal !== undefined) {
    throw new RelayError(`Cannot use --realtime on: ${normal}`);
  }
  const { guest } = context;
  const wanted = guest === undefined ? workersFor(settings, values, context.self) : undefined;
  // They load while this process does.
  const workers = wanted && { ...wanted, command: startAhead(wanted.command, wanted.count) };
  if (workers !== undefined) closers.push(() => endWaiting(workers.command));
  const onboarding = await onboardingOf(values, settings, context);
  if (settings.debug.keyFile !== undefined) checkDebugKeyFile(settings.debug.keyFile);
  const privateKey = settings.dev ? undefined : await loadServerKey(settings.keyFile);
  const rate = settings.rateConfig === undefined
    ? undefined
    : await loadRateConfig(settings.rateConfig);
  const mesh = await meshOf(settings);
  const opened = await openSource(settings, guest?.names);
  if (opened !== undefined) closers.push(() => opened.source.close());
  if (opened?.ready !== undefined) notifier.status("waits for the first certificate");
  // Stopped while it waits for a CA: the source gives up, and with it the start.
  const giveUp = () => void opened?.source.close();
  signal.addEventListener("abort", giveUp, { once: true });

  let relay: Relay;
  try {
    relay = await startRelay({
      addr: settings.addr,
      privateKey,
      source: opened?.source,
      ready: opened?.ready,
      presenter: opened?.presenter,
      httpPort: settings.httpPort,
      stunPort: settings.stunPort,
      version,
      hostname: settings.hostname,
      workers,
      runDir: { base: settings.runDir },
      limits: { writeMs: settings.writeMs === 0 ? Infinity : settings.writeMs },
      times: { keepAliveMs: settings.keepAliveMs, userTimeoutMs: settings.userTimeoutMs },
      acceptLimit: settings.acceptLimit,
      perAddress: settings.perAddress,
      derp: settings.derp,
      admission: admissionOf(settings, onboarding?.cacheFile),
      rate,
      mesh,
      pages: {
        home: settings.home,
        debugNetworks: settings.debug.networks,
        debugKeyFile: settings.debug.keyFile,
        bootstrapDns: settings.bootstrapDns,
      },
      guest,
    });
  } catch (error) {
    if (signal.aborted) return; // told to stop before it could start
    throw error;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
  closers.push(() => relay.close());
  let joined: Joined | undefined;
  context.onReload?.(() =>
    void reload(relay, settings, notifier)
      .then(() => joined?.update(metadata(settings, relay, opened)))
  );
  if (onboarding !== undefined) {
    joined = await onboarding.join({
      metadata: metadata(settings, relay, opened),
      port: relay.address.port,
      signal,
    }, {
      devices: (keys) => void relay.setKeys(keys),
      state: (text) => notifier.status(text),
    });
    closers.push(() => joined!.close());
  }
  if (guest === undefined) {
    announce(relay, settings, {
      caPath: opened?.caPath,
      workers: workers?.count ?? 1,
      device: joined?.deviceId,
    }, context);
  } else await guest.started(relay, opened?.caPath);
  notifier.ready(`serves ${settings.hostname} on port ${relay.address.port}`);
  closers.push(
    watch(
      notifier,
      async () => await relay.answers() && (guest === undefined || await guest.answers()),
    ),
  );
  await Promise.race([aborted(signal), relay.failed]);
  notifier.stopping("moves its clients to another relay");
  await relay.restart(settings.drainMs);
}

async function onboardingOf(values: Values, settings: Settings, context: CommandContext) {
  if (!settings.onboard) return undefined;
  if (context.onboard === undefined) {
    throw new RelayError("Cannot use --onboard here: start nexd itself", 2);
  }
  return await context.onboard(values, context.version);
}

function admissionOf(
  { admission }: Settings,
  cacheFile: string | undefined,
): AdmissionConfig | undefined {
  const { file, url, failOpen, tailscaled } = admission;
  const config: AdmissionConfig = {
    ...(file === undefined ? {} : { file }),
    ...(url === undefined ? {} : { url, failOpen }),
    ...(tailscaled === undefined ? {} : { tailscaled }),
    ...(cacheFile === undefined ? {} : { keys: true, cacheFile }),
  };
  return Object.keys(config).length === 0 ? undefined : config;
}

async function meshOf({ mesh, dev }: Settings) {
  const { keyFile, caFile } = mesh;
  if (keyFile === undefined || dev) return undefined;
  const key = (await loadMeshKey(keyFile)).toHex();
  parseMeshWith(mesh.with); // says what is wrong before anything starts
  const caCerts = caFile === undefined ? [] : [await readPem(caFile, "--mesh-ca")];
  return { key, with: mesh.with, caCerts };
}

function metadata(
  { hostname, certificate }: Settings,
  relay: Relay,
  opened: OpenedSource | undefined,
): OnboardMetadata {
  const { port } = relay.address;
  return metadataOf({ hostname, port, mode: certificate.mode, ca: opened?.source.current.ca });
}

/** SIGHUP: certificate files, allow-list, debug key, rate limits. What is bad leaves the old in use. */
async function reload(relay: Relay, settings: Settings, notifier: Notifier): Promise<void> {
  notifier.reloading();
  logger.info("Reads its files again");
  await relay.reload();
  if (settings.rateConfig !== undefined) {
    try {
      await relay.setRate(await loadRateConfig(settings.rateConfig));
    } catch (error) {
      logger.error("The rate limits stay as they are: {reason}", {
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  }
  notifier.ready(`serves ${settings.hostname} on port ${relay.address.port}`);
}

function announce(
  relay: Relay,
  { hostname, certificate }: Settings,
  { caPath, workers, device }: {
    caPath: string | undefined;
    workers: number;
    device: string | undefined;
  },
  context: CommandContext,
): void {
  const { address } = relay;
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  const listening = `${host}:${address.port}`;
  logger.info("Serves {hostname} on {listening}; workers: {workers}, certmode: {certmode}", {
    hostname,
    listening,
    workers,
    certmode: certificate.mode,
  });
  if (context.json) {
    context.print(JSON.stringify({
      listening,
      http_port: relay.httpPort,
      stun: relay.stunPort,
      public_key: relay.publicKey,
      hostname,
      certmode: certificate.mode,
      ca: caPath,
      device,
      workers,
      replaces: relay.replaces,
      pid: Deno.pid,
      version: context.version,
    }));
    return;
  }
  const scheme = certificate.mode === "none" ? "plain HTTP" : "TLS";
  context.print(`Relay ${hostname} serves DERP on ${listening} (${scheme})`);
  context.print(`  public key  ${relay.publicKey}`);
  if (workers > 1) context.print(`  workers     ${workers} processes`);
  if (relay.stunPort !== undefined) context.print(`  STUN        UDP port ${relay.stunPort}`);
  if (relay.httpPort !== undefined) context.print(`  plain HTTP  port ${relay.httpPort}`);
  if (device !== undefined) {
    context.print(
      `  VPC         device ${device}; the VPC's agents find and trust it by themselves`,
    );
  } else if (caPath !== undefined) {
    context.print(`Its certificate is signed by a private CA of its own: ${caPath}`);
    context.print(`Copy that file to each host and start nexd there with`);
    context.print(
      `  nexd --relay-ca ${caPath.split("/").at(-1)} --public-relay ${hostname}` +
        (address.port === 443 ? "" : `:${address.port}`),
    );
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
