import { doesNotMatch, equal, match, ok } from "node:assert/strict";
import { type Filter, type Forwarding, tableOf, tableText } from "./nft.ts";

const NOTHING: Filter = { checkSources: false, exitInUse: false };
const ROUTER: Forwarding = {
  mode: "router",
  peers: { 4: ["100.64.0.0/10", "10.9.0.0/16"], 6: ["200::/64"] },
  own: { 4: ["172.20.7.0/24"], 6: ["fd00:20:7::/64"] },
  exitNode: false,
  disableNat: false,
  before: { 4: ["eth0", "eth1"], 6: [] },
};
const textOf = (forwarding: Partial<Forwarding>) =>
  tableText("wg0", { ...NOTHING, forwarding: { ...ROUTER, ...forwarding } });

Deno.test("table is taken away in one step when there is nothing to filter", () => {
  equal(
    tableText("wg0", NOTHING),
    "table inet nexd_routing_wg0 {}\ndelete table inet nexd_routing_wg0\n",
  );
});

Deno.test("table's name is safe and another one for every interface's name", () => {
  const names = ["wg0", "wg.0", "wg-0", "wg=0", "wg_0", "wg_2d_0", "wg+0"].map(tableOf);
  equal(new Set(names).size, names.length);
  for (const name of names) match(name, /^[a-zA-Z0-9_]+$/);
});

Deno.test("relay forwards from peer to peer and between the VPC's networks only", () => {
  const text = textOf({ mode: "relay", own: { 4: [], 6: [] } });
  const forward = text.slice(text.indexOf("chain forward"));
  match(forward, /iifname "wg0" oifname "wg0" ip saddr @peers4 ip daddr @peers4 accept/);
  match(forward, /iifname "wg0" oifname "wg0" ip6 saddr @peers6 ip6 daddr @peers6 accept/);
  match(forward, /counter drop\n}/);
  doesNotMatch(text, /masquerade/);
  match(text, /elements = { 100\.64\.0\.0\/10, 10\.9\.0\.0\/16 }/);
});

Deno.test("router lets peers into its networks and nowhere else, and interfaces that forwarded nothing do not begin to", () => {
  const text = textOf({});
  match(text, /iifname "wg0" ip saddr @peers4 ip daddr @own4 accept/);
  match(text, /iifname "wg0" ip6 saddr @peers6 ip6 daddr @own6 accept/);
  match(text, /iifname "wg0" oifname "wg0" drop/);
  match(text, /meta nfproto ipv4 iifname @before4 oifname @before4 drop/);
  match(text, /elements = { "eth0", "eth1" }/);
  match(text, /ip saddr @peers4 ip daddr @own4 masquerade/);
  doesNotMatch(text, /iifname "wg0" ip saddr @peers4 accept/);
});

Deno.test("router keeps peers' addresses when told to, and hides them from the Internet all the same", () => {
  const text = textOf({ disableNat: true, exitNode: true });
  match(text, /ip saddr @peers4 ip daddr @own4 accept/);
  match(text, /oifname != { "lo", "wg0" } ip saddr @peers4 masquerade/);
  match(text, /oifname != { "lo", "wg0" } ip6 saddr @peers6 masquerade/);
  // What a cloud tells its machines is not for peers.
  for (const [ip, link] of [["ip", "169.254.0.0/16"], ["ip6", "{ fd00:ec2::/32, fd20:ce::254 }"]]) {
    const drop = text.indexOf(`${ip} daddr ${link} drop`);
    ok(drop > 0 && drop < text.indexOf('iifname "wg0" ip saddr @peers4 accept'));
  }
});
