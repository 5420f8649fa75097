/**
 * Small socket helpers: options the runtime has no API for, and address texts.
 *
 * Everything that needs FFI answers undefined or false where it is not permitted or the system is
 * not Linux; the caller then goes on without.
 *
 * @module
 */
export { isOneDatagram } from "./datagram.ts";
export { connectionFds, type Endpoint, hangUp } from "./hang_up.ts";
export { AddressError, parseHostPort } from "./host_port.ts";
export { libcPath } from "./libc.ts";
export { type RealtimeMode, runRealtime } from "./realtime.ts";
export {
  datagramFd,
  getSocketOption,
  isDualStack,
  newSocketFd,
  nextFd,
  setNoDelayOnListener,
  setNotSentLimit,
  setReceiveBuffer,
  setTcpKeepAlive,
  setTcpUserTimeout,
  socketFds,
} from "./sockets.ts";
export { steerConnections, stopSteering } from "./steer.ts";
