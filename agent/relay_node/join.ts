/**
 * Joining a VPC as its relay, and following its devices for as long as the relay runs.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { ApiClient, pause } from "../api/mod.ts";
import { AgentError } from "../errors.ts";
import { localEndpoint, probe } from "../netcheck/mod.ts";
import { ensureStateDir, StateStore } from "../onboarding/mod.ts";
import { tryLockFile } from "../platform/mod.ts";
import { Membership, type RelayDoors } from "./membership.ts";
import type { OnboardSettings } from "./settings.ts";

const log = getLogger(["nexd", "agent"]);

/** State and lock of the relay's identity: an agent may use the same directory for its own. */
const STATE_FILE = "relay-state.json", LOCK_FILE = "relay.lock";
/** How long a first start waits for another process to make the keys, and how often it looks, ms. */
const LOCK_PATIENCE = 5_000, LOCK_LOOK = 100;

/** What agents of the VPC learn about the relay: the value of its metadata key `relay`. */
export interface RelayMetadata {
  type: "derp";
  /** Name in the relay's certificate. */
  hostname: string;
  /** The name need not resolve: agents dial the relay's endpoint. */
  certmodemanual: boolean;
  /** TCP port, if it is not 443. */
  port?: number;
  /** PEM of the CA that agents of this VPC verify this relay with, and nothing else. */
  ca?: string;
  /** Region name, for people. */
  region?: string;
}

/** How to join. */
export interface JoinOptions extends OnboardSettings {
  metadata: RelayMetadata;
  /** TCP port that the relay serves on. */
  port: number;
  /** Ends it all, as {@link JoinedVpc.close} does. */
  signal: AbortSignal;
}

/** What the relay hears. */
export interface VpcEvents {
  /**
   * The public keys (64 hex digits) of all devices but the relay itself, each time they change.
   * Called first when the whole list is known: until then the last run's list holds.
   */
  devices(publicKeysHex: string[]): void;
  /** What the tie to the control plane is doing, for people. */
  state?(text: string): void;
}

/** A relay that is a device of a VPC. */
export interface JoinedVpc {
  readonly deviceId: string;
  /** The device's public key, base64. */
  readonly publicKey: string;
  /** Publishes other metadata: a new CA or port. Never throws; trouble is logged and tried again. */
  update(metadata: RelayMetadata): void;
  /** Follows the VPC no longer. The device stays: the relay may be back in a moment. */
  close(): Promise<void>;
}

/**
 * Makes the relay a device of the registration key's VPC and follows the VPC's devices.
 *
 * A relay that was a device before does not wait for the control plane: it resolves at once, and
 * registers when it can. A second process of the same relay, as during an upgrade, joins beside the
 * first one: both are the same device.
 *
 * @throws AgentError for a first registration that is refused or cannot reach the control plane
 * within 15 s, and for a state directory that cannot be used
 */
export async function joinVpc(
  options: JoinOptions,
  on: VpcEvents,
  doors: Partial<RelayDoors> = {},
): Promise<JoinedVpc> {
  const { stateDir, signal } = options;
  await ensureStateDir(stateDir);
  const lock = await lockIdentity(stateDir, signal);
  let ownApi: ApiClient | undefined;
  const release = () => {
    ownApi?.close();
    lock?.release();
  };
  try {
    if (doors.api === undefined) {
      ownApi = new ApiClient({
        apiUrl: options.join.apiUrl,
        caCerts: options.caCerts,
        insecureSkipTlsVerify: options.insecureSkipTlsVerify,
        version: options.version,
      });
    }
    const store = await StateStore.open(stateDir, new Date(), STATE_FILE);
    const membership = new Membership(options, store, on, {
      probe,
      localEndpoint,
      ...doors,
      api: doors.api ?? ownApi!,
    });
    const deviceId = await membership.start();
    return {
      deviceId,
      publicKey: membership.publicKey,
      update: (metadata) => membership.update(metadata),
      close: async () => {
        await membership.close();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

/**
 * Only the making of the keys needs the lock: whoever comes second finds them made. So it is held for
 * as long as the relay runs, and a second process of the same relay goes on without it.
 */
async function lockIdentity(
  stateDir: string,
  signal: AbortSignal,
): Promise<{ release(): void } | undefined> {
  const until = performance.now() + LOCK_PATIENCE;
  for (;;) {
    const lock = await tryLockFile(`${stateDir}/${LOCK_FILE}`);
    if ("release" in lock) return lock;
    if (await exists(`${stateDir}/${STATE_FILE}`)) {
      log.info("joining beside the relay that runs already{pid}", {
        pid: lock.pid === undefined ? "" : ` (pid ${lock.pid})`,
      });
      return undefined;
    }
    if (signal.aborted || performance.now() > until) {
      throw new AgentError(
        `Cannot join the VPC: another nexd holds ${stateDir}/${LOCK_FILE} and has made no keys; ` +
          "stop it or choose another --state-dir",
      );
    }
    await pause(LOCK_LOOK, signal);
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
