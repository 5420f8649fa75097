import assert from "node:assert/strict";
import {
  datagramFd,
  isDualStack,
  libcPath,
  newSocketFd,
  nextFd,
  setNoDelayOnListener,
  setReceiveBuffer,
  setTcpKeepAlive,
  setTcpUserTimeout,
  socketFds,
} from "./mod.ts";
import { getSocketOption, isBoundTo } from "./sockets.ts";

const TCP = 6;
const NODELAY = 1;

function withoutFfi(): boolean {
  if (libcPath() !== undefined) return false;
  // deno-lint-ignore no-console
  console.log("skip: no libc by FFI here");
  return true;
}

/** Opens a listener and finds its descriptor. */
function listener(): { listener: Deno.TcpListener; fd: number; port: number } {
  const before = socketFds();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = listener.addr.port;
  const fd = newSocketFd(before, { hostname: "127.0.0.1", port });
  assert(fd !== undefined);
  return { listener, fd, port };
}

Deno.test("newSocketFd finds a listener's descriptor when one was opened", () => {
  if (withoutFfi()) return;
  const { listener: open, fd, port } = listener();
  try {
    assert(socketFds().has(fd));
    assert(isBoundTo(fd, "127.0.0.1", port));
    assert(!isBoundTo(fd, "127.0.0.1", port ^ 1));
    assert(!isBoundTo(fd, "127.0.0.2", port));
  } finally {
    open.close();
  }
});

Deno.test("newSocketFd answers nothing when no socket or no single socket fits", () => {
  if (withoutFfi()) return;
  const before = socketFds();
  const a = Deno.listen({ hostname: "127.0.0.1", port: 0, reusePort: true });
  const { port } = a.addr;
  try {
    assert(newSocketFd(before, { port }) !== undefined);
    assert.equal(newSocketFd(before, { hostname: "127.0.0.9", port }), undefined);
    assert.equal(newSocketFd(socketFds(), { port }), undefined);
    const b = Deno.listen({ hostname: "127.0.0.1", port, reusePort: true });
    try {
      assert.equal(newSocketFd(before, { port }), undefined);
    } finally {
      b.close();
    }
  } finally {
    a.close();
  }
});

Deno.test("setNoDelayOnListener reaches accepted sockets when set on their listener", async () => {
  if (withoutFfi()) return;
  const { listener: open, fd, port } = listener();
  try {
    assert.equal(getSocketOption(fd, TCP, NODELAY), 0);
    assert(setNoDelayOnListener(fd));
    assert(setTcpUserTimeout(fd, 15_000));
    assert(setTcpKeepAlive(fd, 600_000));
    const client = await Deno.connect({ hostname: "127.0.0.1", port });
    const before = socketFds();
    const accepted = await open.accept();
    const acceptedFd = newSocketFd(before, { hostname: "127.0.0.1", port });
    try {
      assert(acceptedFd !== undefined);
      assert.equal(getSocketOption(acceptedFd, TCP, NODELAY), 1);
      assert.equal(getSocketOption(acceptedFd, TCP, 18), 15_000);
      assert.equal(getSocketOption(acceptedFd, 1, 9), 1);
      assert.equal(getSocketOption(acceptedFd, TCP, 4), 600);
    } finally {
      accepted.close();
      client.close();
    }
  } finally {
    open.close();
  }
});

Deno.test("setReceiveBuffer enlarges a datagram socket when it can", () => {
  if (withoutFfi()) return;
  const before = socketFds();
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  try {
    const fd = newSocketFd(before, { port: (socket.addr as Deno.NetAddr).port });
    assert(fd !== undefined);
    const was = getSocketOption(fd, 1, 8)!;
    assert(setReceiveBuffer(fd, was)); // the kernel doubles what is asked for
    assert(getSocketOption(fd, 1, 8)! >= was);
  } finally {
    socket.close();
  }
});

Deno.test("datagramFd finds the one socket bound there with a right, wrong or no guess", () => {
  if (withoutFfi()) return;
  const tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = tcp.addr;
  assert.equal(datagramFd("127.0.0.1", port), undefined, "a stream socket is not meant");
  const guess = nextFd();
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port });
  try {
    const fd = datagramFd("127.0.0.1", port, guess);
    assert(fd !== undefined && isBoundTo(fd, "127.0.0.1", port));
    assert.equal(datagramFd("127.0.0.1", port, 0), fd);
    assert.equal(datagramFd("127.0.0.1", port), fd);
    assert.equal(datagramFd("127.0.0.2", port, guess), undefined);
  } finally {
    socket.close();
    tcp.close();
  }
});

Deno.test("isDualStack tells whether an IPv6 wildcard takes IPv4 when it was bound", async () => {
  if (withoutFfi()) return;
  const before = socketFds();
  let open: Deno.TcpListener;
  try {
    open = Deno.listen({ hostname: "::", port: 0 });
  } catch {
    // deno-lint-ignore no-console
    return console.log("skip: no IPv6 here");
  }
  const { port } = open.addr;
  const fd = newSocketFd(before, { port });
  const reached = await Deno.connect({ hostname: "127.0.0.1", port }).then((conn) => {
    conn.close();
    return true;
  }, () => false);
  open.close();
  assert(fd !== undefined);
  // The descriptor is closed now, so ask a new one.
  const again = socketFds();
  using second = Deno.listen({ hostname: "::", port: 0 });
  assert.equal(isDualStack(newSocketFd(again, { port: second.addr.port })!), reached);
  assert.equal(isDualStack(100_000), undefined);
});

Deno.test("socket options answer false or undefined when the descriptor is no socket", () => {
  assert.equal(getSocketOption(100_000, 1, 3), undefined);
  assert.equal(setNoDelayOnListener(100_000), false);
  assert.equal(setTcpUserTimeout(-1, 1), false);
  assert.equal(setReceiveBuffer(-1, 4096), false);
});

Deno.test("every helper degrades when FFI is not permitted", async () => {
  const url = new URL("./mod.ts", import.meta.url).href;
  const program = `const m = await import(${JSON.stringify(url)});
    const before = m.socketFds();
    const l = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    console.log(JSON.stringify([m.libcPath() ?? null, before.size, m.newSocketFd(before) ?? null,
      m.setNoDelayOnListener(0), m.setReceiveBuffer(0, 1)]));`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-config", "--allow-read", "--allow-net=127.0.0.1", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const { stdout, stderr } = await child.output();
  assert.deepEqual(
    JSON.parse(new TextDecoder().decode(stdout) || new TextDecoder().decode(stderr)),
    [null, 0, null, false, false],
  );
});
