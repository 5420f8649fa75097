import assert from "node:assert/strict";
import { checkDriver, checkPermissions } from "./local.ts";
import { checkRoutes } from "./routes.ts";
import { type System, THIS_HOST } from "./system.ts";

/** A host of another system in memory: what its programs answer, and which files it has. */
function host(
  os: System["os"],
  programs: Record<string, string>,
  files: readonly string[] = [],
): System {
  return {
    ...THIS_HOST,
    os,
    uid: os === "windows" ? undefined : 0,
    read: () => Promise.resolve(undefined),
    stat: (path) =>
      Promise.resolve(files.includes(path) ? { mode: 0, uid: 0, directory: false } : undefined),
    find: (program) => Promise.resolve(files.find((path) => path.endsWith(`/${program}`))),
    run: (program, args) => {
      const line = [program, ...args].join(" ");
      const found = Object.entries(programs).find(([part]) => line.includes(part))?.[1];
      return Promise.resolve({
        code: found === undefined ? 1 : 0,
        stdout: found ?? "",
        stderr: "",
      });
    },
  };
}

const said = (findings: { level: string; text: string; remedy?: string | undefined }[]) =>
  findings.map(({ level, text, remedy = "" }) => `${level}: ${text}; ${remedy}`).join("\n");
const DRIVER = { driver: "auto" };
const BIN = "C:\\Program Files\\WireGuard\\";

Deno.test("doctor on Windows tells rights, WireGuard and routes of others", async () => {
  const label = (level: string) => ({ "whoami.exe": `"a b","c","S-1-16-${level}",""\r\n` });
  assert.match(said(await checkPermissions(host("windows", label("12288")))), /^ok: administrator/);
  assert.match(
    said(await checkPermissions(host("windows", label("8192")))),
    /^broken: no administrator's rights.*start the terminal as administrator/,
  );
  assert.match(
    said(await checkDriver(host("windows", {}), DRIVER)),
    /wireguard\.exe is missing; install WireGuard for Windows 0\.5/,
  );
  const both = [`${BIN}wireguard.exe`, `${BIN}wg.exe`];
  assert.match(said(await checkDriver(host("windows", {}, both), DRIVER)), /^ok: /);
  assert.match(
    said(await checkDriver(host("windows", {}, both), { driver: "wireguard-go" })),
    /^broken: on Windows nexd drives wireguard-nt/,
  );
  const routes = '[{"DestinationPrefix":"100.64.0.0/10","InterfaceAlias":"Tailscale"},' +
    '{"DestinationPrefix":"100.64.0.2/32","InterfaceAlias":"wg0"}]';
  const patient = { stateDir: "C:\\x", interfaceName: "wg0" };
  assert.match(
    said(await checkRoutes(host("windows", { "Get-NetRoute": routes }), patient)),
    /^broken: 100\.64\.0\.0\/10 leads to Tailscale, .*; Tailscale uses the same range[^\n]*$/,
  );
});

Deno.test("doctor on macOS tells WireGuard and routes of others, not the agent's own", async () => {
  assert.match(said(await checkPermissions(host("darwin", {}))), /^ok: root/);
  assert.match(
    said(await checkDriver(host("darwin", {}), DRIVER)),
    /^broken: there is no wireguard-go; run brew install wireguard-go, not as root/,
  );
  assert.match(
    said(await checkDriver(host("darwin", {}), { driver: "kernel" })),
    /^broken: macOS has none in its kernel/,
  );
  const brewed = host("darwin", {}, ["/opt/homebrew/bin/wireguard-go"]);
  assert.equal(said(await checkDriver(brewed, DRIVER)), "ok: /opt/homebrew/bin/wireguard-go; ");
  const table = "Destination  Gateway  Flags  Netif Expire\n" +
    "100.64/10  link#20  UCS  utun3\n100.64.0.2/32  link#21  UCS  utun7\n";
  const patient = { stateDir: "/x", interfaceName: "wg0", status: { interface: "utun7" } };
  assert.match(
    said(await checkRoutes(host("darwin", { "netstat -rn -f inet": table }), patient)),
    /^broken: 100\.64\.0\.0\/10 leads to utun3, [^\n]*another range$/m,
  );
});
