/**
 * The relay's workers: one process per core on one port, or the supervisor's own process.
 *
 * @module
 */
export { endWaiting, startAhead, type WorkerCommand } from "./child.ts";
export type {
  ListenAddress,
  MeshConfig,
  PagesConfig,
  RateLimit,
  RelayState,
  ServedCertificate,
  SocketTimes,
  WorkerConfig,
} from "./config.ts";
export { isFree, listen, onEveryAddress, PortInUse, portInUse } from "./listen.ts";
export { Pool, type PoolOptions } from "./pool.ts";
export { runWorker } from "./process.ts";
