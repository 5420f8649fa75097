import assert from "node:assert/strict";
import { macRoutes, windowsRoutes } from "./route_tables.ts";

/** Columns and spellings as netstat(1) of macOS 11 and newer has them. */
const MAC_NEW = `Routing tables

Internet:
Destination        Gateway            Flags           Netif Expire
default            192.168.1.1        UGScg             en0
100.64/10          link#20            UCS             utun3
127                127.0.0.1          UCS               lo0
169.254            link#12            UCS               en0      !
192.168.1.7        a4:83:e7:0:0:1     UHLWIi            en0   1167
224.0.0/4          link#12            UmCS              en0      !
`;
/** The same of macOS 10.14, with two columns more. */
const MAC_OLD = `Internet:
Destination        Gateway            Flags        Refs      Use   Netif Expire
default            192.168.1.1        UGSc           93        0     en0
10.8/16            link#14            UCS             1        0   utun2
`;
const MAC_SIX = `Internet6:
Destination                             Gateway                         Flags         Netif Expire
default                                 fe80::%utun0                    UGcIg         utun0
200::/64                                link#20                         UC            utun3
fe80::%lo0/64                           fe80::1%lo0                     UcI             lo0
`;

Deno.test("routes of macOS are read, whatever columns its version has", () => {
  assert.deepEqual(macRoutes(MAC_NEW), [
    { dst: "100.64.0.0/10", dev: "utun3" },
    { dst: "127.0.0.0/8", dev: "lo0" },
    { dst: "169.254.0.0/16", dev: "en0" },
    { dst: "192.168.1.7/32", dev: "en0" },
    { dst: "224.0.0.0/4", dev: "en0" },
  ]);
  assert.deepEqual(macRoutes(MAC_OLD), [{ dst: "10.8.0.0/16", dev: "utun2" }]);
  assert.deepEqual(macRoutes(MAC_SIX), [
    { dst: "200::/64", dev: "utun3" },
    { dst: "fe80::/64", dev: "lo0" },
  ]);
  assert.deepEqual(macRoutes("netstat: sysctl: net.route\n"), []);
});

/**
 * `Get-NetRoute | Select-Object DestinationPrefix,InterfaceAlias | ConvertTo-Json -Compress` of a
 * German Windows: names of properties are not translated, those of interfaces are (MSFT_NetRoute).
 */
const WINDOWS = `[{"DestinationPrefix":"255.255.255.255/32","InterfaceAlias":"WLAN"},` +
  `{"DestinationPrefix":"100.64.0.0/10","InterfaceAlias":"Tailscale"},` +
  `{"DestinationPrefix":"ff00::/8","InterfaceAlias":"Loopback Pseudo-Interface 1"},` +
  `{"DestinationPrefix":null,"InterfaceAlias":"LAN-Verbindung* 2"}]`;

Deno.test("routes of Windows are read in every language, one or many", () => {
  assert.deepEqual(windowsRoutes(WINDOWS).map(({ dst, dev }) => `${dst} ${dev}`), [
    "255.255.255.255/32 WLAN",
    "100.64.0.0/10 Tailscale",
    "ff00::/8 Loopback Pseudo-Interface 1",
  ]);
  const one = `\uFEFF{"DestinationPrefix":"10.0.0.0/8","InterfaceAlias":"Ethernet"}\r\n`;
  assert.deepEqual(windowsRoutes(one), [{ dst: "10.0.0.0/8", dev: "Ethernet" }]);
  for (const bad of ["", "null", "Der Begriff wurde nicht erkannt", "[1,[]]"]) {
    assert.deepEqual(windowsRoutes(bad), []);
  }
});
