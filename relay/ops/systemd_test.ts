import { deepEqual, equal, match } from "node:assert/strict";
import { openNotifier } from "./systemd.ts";

/** Datagrams that a notifier sends to a socket, abstract or by path. */
async function heard(
  name: string,
  say: (notifier: ReturnType<typeof openNotifier>) => void,
  count: number,
): Promise<string[]> {
  const path = name.startsWith("@") ? "\0" + name.slice(1) : name;
  const server = Deno.listenDatagram({ transport: "unixpacket", path });
  const notifier = openNotifier({ NOTIFY_SOCKET: name, WATCHDOG_USEC: "3000000" });
  try {
    equal(notifier.watchdogMs, 3000);
    say(notifier);
    const texts: string[] = [];
    for (let i = 0; i < count; i++) {
      texts.push(new TextDecoder().decode((await server.receive())[0]));
    }
    return texts;
  } finally {
    notifier.close();
    notifier.alive(); // after the end: nothing
    server.close();
  }
}

Deno.test("a notifier reaches the service manager by path and by abstract name", async () => {
  if (Deno.build.os !== "linux") return;
  const directory = await Deno.makeTempDir();
  try {
    for (const name of [`${directory}/notify`, `@nexd-test-${crypto.randomUUID()}`]) {
      const texts = await heard(name, (n) => {
        n.ready("serves\n3 clients");
        n.reloading();
        n.alive();
        n.status("fine");
        n.stopping("drains");
      }, 5);
      match(texts[1]!, /^RELOADING=1\nMONOTONIC_USEC=\d{6,}$/);
      deepEqual(texts.toSpliced(1, 1), [
        "READY=1\nSTATUS=serves 3 clients",
        "WATCHDOG=1",
        "STATUS=fine",
        "STOPPING=1\nSTATUS=drains",
      ]);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a notifier is silent when no service manager listens", () => {
  for (const NOTIFY_SOCKET of ["", "relative", "/" + "x".repeat(200), undefined]) {
    const notifier = openNotifier({ NOTIFY_SOCKET, WATCHDOG_USEC: "1000" });
    notifier.ready("x");
    equal(notifier.watchdogMs, undefined);
    notifier.close();
  }
  const nobody = openNotifier({ NOTIFY_SOCKET: "/nonexistent/notify" });
  nobody.ready("x");
  nobody.close();
});

Deno.test("a notifier has no watchdog when it is another process's or nonsense", () => {
  const socket = { NOTIFY_SOCKET: "/nonexistent/notify" };
  const cases: [string | undefined, string | undefined, number | undefined][] = [
    ["1000000", undefined, 1000],
    ["1000000", String(Deno.pid), 1000],
    ["1000000", "1", undefined],
    ["0", undefined, undefined],
    ["soon", undefined, undefined],
    [undefined, undefined, undefined],
  ];
  for (const [WATCHDOG_USEC, WATCHDOG_PID, ms] of cases) {
    const notifier = openNotifier({ ...socket, WATCHDOG_USEC, WATCHDOG_PID });
    equal(notifier.watchdogMs, ms);
    notifier.close();
  }
});
