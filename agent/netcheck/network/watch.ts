/**
 * Tells when this host may have come into another network: an address, a default route or a link
 * changed, or the host slept.
 *
 * On Linux the kernel is asked without waiting whether it has told anything (netlink): a
 * microsecond each time, no thread and no process. Elsewhere the interfaces' addresses are compared.
 *
 * @module
 */
import { LINUX, type LinuxSockets, linuxSockets } from "../../platform/mod.ts";
import { changeIn, GROUPS, type LinkStates } from "./netlink.ts";

/** How often to look, ms: by netlink, and by comparing addresses. */
const LOOK = 500, COMPARE = 2_000;
/** When the wall clock is ahead of the running time by so much, the host has slept, ms. */
const SLEPT = 5_000;
/** Room for one message batch of the kernel, bytes. */
const ROOM = 32 * 1024;
/** Number of the loopback interface. */
const LOOPBACK = 1;
/** Batches read in one go. */
const BATCHES = 64;

/** What to watch with. */
export interface NetworkWatchOptions {
  /** Called once for everything seen at one look, with why in a few words. */
  onChange(reason: string): void;
  /** Name of the tunnel's interface: what happens to it does not count. */
  tunnel: string;
  /** ms between looks, for tests. */
  interval?: number;
  /** The system's calls; undefined: compare addresses. */
  calls?: LinuxSockets | undefined;
  clock?: { wall(): number; running(): number };
}

/** A watch; close it. */
export interface NetworkWatch {
  /** How it watches. */
  readonly by: "netlink" | "addresses";
  close(): void;
}

/** Begins to watch. Never throws: where the kernel does not tell, addresses are compared. */
export function watchNetwork(options: NetworkWatchOptions): NetworkWatch {
  const calls = "calls" in options ? options.calls : linuxSockets();
  const look = (calls && netlinkLook(calls, options.tunnel)) ?? addressLook(options.tunnel);
  const clock = options.clock ?? { wall: () => Date.now(), running: () => performance.now() };
  let ahead = clock.wall() - clock.running();
  const timer = setInterval(() => {
    const now = clock.wall() - clock.running();
    const slept = now - ahead > SLEPT;
    ahead = now;
    const reason = look.changed() ?? (slept ? "the host slept, or its clock was set" : undefined);
    if (reason !== undefined) options.onChange(reason);
  }, options.interval ?? look.interval);
  return {
    by: look.by,
    close() {
      clearInterval(timer);
      look.close();
    },
  };
}

interface Look {
  by: NetworkWatch["by"];
  interval: number;
  changed(): string | undefined;
  close(): void;
}

function netlinkLook(calls: LinuxSockets, tunnel: string): Look | undefined {
  const fd = calls.socket(
    LINUX.AF_NETLINK,
    LINUX.SOCK_RAW | LINUX.SOCK_CLOEXEC | LINUX.SOCK_NONBLOCK,
    0,
  );
  if (fd < 0) return undefined;
  const name = new Uint8Array(12); // struct sockaddr_nl { u16 family, pad; u32 pid, groups }
  const view = new DataView(name.buffer);
  view.setUint16(0, LINUX.AF_NETLINK, true);
  view.setUint32(8, GROUPS, true);
  if (calls.bind(fd, name, name.length) !== 0) {
    calls.close(fd);
    return undefined;
  }
  const batch = new Uint8Array(ROOM), room = BigInt(ROOM);
  const links: LinkStates = new Map();
  const nameLength = new Uint8Array(new Uint32Array([name.length]).buffer);
  const tunnelName = new TextEncoder().encode(`${tunnel}\0`);
  // The tunnel gets another number each time it is made.
  const ignored = (index: number) =>
    index === LOOPBACK || index === calls.if_nametoindex(tunnelName);
  return {
    by: "netlink",
    interval: LOOK,
    changed() {
      let reason: string | undefined;
      for (let n = 0; n < BATCHES; n++) {
        new Uint32Array(nameLength.buffer)[0] = name.length;
        const length = Number(
          calls.recvfrom(fd, batch, room, LINUX.MSG_DONTWAIT, name, nameLength),
        );
        if (length > 0) reason = changeIn(batch.subarray(0, length), links, ignored) ?? reason;
        // More happened than the kernel keeps for us: something of it may concern us.
        else if (length < 0 && calls.errno() === LINUX.ENOBUFS) reason = "much changed at once";
        else break;
      }
      return reason;
    },
    close: () => void calls.close(fd),
  };
}

function addressLook(tunnel: string): Look {
  const read = () => {
    try {
      return Deno.networkInterfaces()
        .filter(({ name, address }) => name !== tunnel && !/^(127\.|::1$|fe80:)/i.test(address))
        .map(({ name, address }) => `${name} ${address}`).sort().join();
    } catch {
      return ""; // not permitted: nothing can be told
    }
  };
  let before = read();
  return {
    by: "addresses",
    interval: COMPARE,
    changed() {
      const now = read();
      if (now === before) return undefined;
      before = now;
      return "an address changed";
    },
    close: () => {},
  };
}
