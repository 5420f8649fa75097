import assert from "node:assert/strict";
import { type Facts, planSetup } from "./plan.ts";

const DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\n';
const UBUNTU = 'PRETTY_NAME="Ubuntu 24.04 LTS"\nID=ubuntu\nID_LIKE=debian\n';
const FEDORA = 'PRETTY_NAME="Fedora Linux 42"\nID=fedora\n';
const ready: Facts = { root: true, missing: [], osRelease: DEBIAN, hasApt: true, tun: "usable" };

Deno.test("set-up does nothing when nothing is missing", () => {
  assert.deepEqual(planSetup(ready), []);
  assert.deepEqual(planSetup({ ...ready, root: false, osRelease: "", hasApt: false }), []);
});

Deno.test("set-up installs each package once when root lacks commands", () => {
  const missing = ["nsenter", "unshare", "ip"];
  assert.deepEqual(planSetup({ ...ready, missing }), [
    { do: "install", packages: ["iproute2", "util-linux"] },
  ]);
});

Deno.test("set-up installs what tests can do without only when nothing stands in the way", () => {
  const wanted = ["pebble", "pebble-challtestsrv"];
  assert.deepEqual(planSetup({ ...ready, wanted }), [
    { do: "install", packages: ["pebble"], optional: true },
  ]);
  for (const facts of [{ root: false }, { hasApt: false }, { osRelease: FEDORA }]) {
    assert.deepEqual(planSetup({ ...ready, wanted, ...facts }), []);
  }
});

Deno.test("set-up names one command to run when the user is not root", () => {
  const facts = { ...ready, root: false, osRelease: UBUNTU, missing: ["nft", "iperf3"] };
  const [step, ...rest] = planSetup(facts);
  assert.deepEqual(rest, []);
  assert.ok(step?.do === "give-up");
  assert.match(step.because, /^Cannot find nft, iperf3: run this once/);
  assert.match(
    step.because,
    /\n {2}sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends iperf3 nftables'$/,
  );
  const [both] = planSetup({ ...facts, tun: "absent" });
  assert.ok(both?.do === "give-up");
  assert.match(both.because, /iperf3 nftables && mkdir -p \/dev\/net && mknod/);
});

Deno.test("set-up only names what is missing when the system is not Debian's kin", () => {
  for (const facts of [{ osRelease: FEDORA }, { osRelease: "" }, { hasApt: false }]) {
    const [step, ...rest] = planSetup({ ...ready, missing: ["nft"], ...facts });
    assert.deepEqual(rest, []);
    assert.ok(step?.do === "give-up");
    assert.match(step.because, /^Cannot find nft: install .*\(on Debian: nftables\)/);
  }
});

Deno.test("set-up makes the TUN device when root lacks it, and explains it otherwise", () => {
  assert.deepEqual(planSetup({ ...ready, tun: "absent" }), [{ do: "make-tun" }]);
  assert.deepEqual(planSetup({ ...ready, tun: "no-driver" }), [{ do: "make-tun" }]);
  const says = (facts: Partial<Facts>) => {
    const [step] = planSetup({ ...ready, ...facts });
    assert.ok(step?.do === "give-up");
    return step.because;
  };
  assert.match(says({ tun: "refused" }), /--device \/dev\/net\/tun/);
  assert.match(says({ root: false, tun: "refused" }), /for root only.*\n {2}sudo sh -c /s);
  assert.match(says({ root: false, tun: "absent" }), /not there.*\n {2}sudo sh -c /s);
});
