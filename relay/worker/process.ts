/**
 * The hidden command `nexd relayderp-worker`: a worker that does what its supervisor says, over
 * standard input and output. It ends when its standard input does, so it never outlives the
 * supervisor, however that ends. Private keys come that way too, never by argument or environment.
 */
import { getLogger } from "@logtape/logtape";
import { RelayError } from "../errors.ts";
import type { RelayState, WorkerConfig } from "./config.ts";
import { Rpc } from "./rpc.ts";
import { Station } from "./station.ts";

const logger = getLogger(["nexd", "relay"]);

/** Longest wait for the whole relay's state; then a page shows this worker's own. */
const STATE_MS = 2_000;

/** Serves until standard input ends. */
export async function runWorker(): Promise<void> {
  let station: Station | undefined;
  const running = () => {
    if (station === undefined) throw new RelayError("Cannot do that: the worker has not started");
    return station;
  };
  const state = async (): Promise<RelayState> => {
    try {
      return await rpc.call("state", null, STATE_MS) as RelayState;
    } catch {
      const snapshot = await running().snapshot();
      return { snapshot, stun: undefined, certificate: undefined };
    }
  };
  const check = async () => await rpc.call("check", null, STATE_MS) as string[];
  const over = Promise.withResolvers<void>();
  const rpc: Rpc = new Rpc(Deno.stdin.readable, Deno.stdout.writable, {
    start: async (config: WorkerConfig) => {
      station = await Station.start(config, { state, check });
      return station.address;
    },
    join: (directory: string) => running().join(directory),
    setCertificate: (certificate) => running().setCertificate(certificate),
    setChallenge: (challenge) => running().setChallenge(challenge ?? undefined),
    setKeys: (keys: string[]) => running().setKeys(keys),
    setRate: (rate) => running().setRate(rate ?? undefined),
    reload: () => running().reload(),
    snapshot: () => running().snapshot(),
    check: () => running().check(),
    stopAccepting: () => running().stopAccepting(),
    announceRestart: (restart) => running().announceRestart(restart),
    end: () => {
      over.resolve();
    },
  });
  const told = await Promise.race([over.promise.then(() => true), rpc.closed.then(() => false)]);
  if (!told) logger.warn("A worker ends: its supervisor is gone");
  await station?.end();
  await rpc.close();
}
