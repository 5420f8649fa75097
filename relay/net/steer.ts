/**
 * Which of several listeners on one port gets the new connections.
 *
 * Listeners that share a port (SO_REUSEPORT) are given connections by a hash of the addresses. A
 * program of one instruction (SO_ATTACH_REUSEPORT_CBPF, socket(7)) gives them all to one instead:
 * so another one can be emptied and closed without a connection in its queue, which the kernel
 * would reset.
 */
import { socketCalls } from "./libc.ts";
import { getSocketOption, socketFds } from "./sockets.ts";

const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const SO_ATTACH_REUSEPORT_CBPF = 51;
const SO_DETACH_REUSEPORT_BPF = 68;

/** Classic BPF: return the constant. */
const BPF_RET_K = 6;

/** A listening TCP socket of this process on a port; the program is the whole group's. */
function listenerFd(port: number): number | undefined {
  const calls = socketCalls();
  const name = new Uint8Array(28);
  const length = new Uint32Array(1);
  for (const fd of socketFds()) {
    if (getSocketOption(fd, SOL_SOCKET, SO_ACCEPTCONN) !== 1) continue;
    length[0] = name.length;
    if (calls?.getsockname(fd, name, length) !== 0) continue;
    if ((name[2]! << 8 | name[3]!) === port) return fd;
  }
  return undefined;
}

/**
 * Gives all new connections of a port that this process listens on to one of its listeners.
 *
 * @param index the listener's place, counted from 0 in the order they were opened, those of other
 *   processes too. Where there is none the kernel chooses as ever.
 * @returns false where it could not be done
 */
export function steerConnections(port: number, index: number): boolean {
  const fd = listenerFd(port);
  const calls = socketCalls();
  if (fd === undefined || calls === undefined) return false;
  // struct sock_filter { u16 code; u8 jt, jf; u32 k }
  const instruction = new Uint8Array(8);
  const code = new DataView(instruction.buffer);
  code.setUint16(0, BPF_RET_K, true);
  code.setUint32(4, index, true);
  // struct sock_fprog { u16 len; struct sock_filter *filter }
  const program = new Uint8Array(16);
  const view = new DataView(program.buffer);
  view.setUint16(0, 1, true);
  view.setBigUint64(8, calls.memmove(instruction, instruction, 0n), true);
  return calls.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program, 16) === 0;
}

/** Lets the kernel choose again. */
export function stopSteering(port: number): void {
  const fd = listenerFd(port);
  if (fd === undefined) return;
  socketCalls()?.setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, new Uint8Array(4), 4);
}
