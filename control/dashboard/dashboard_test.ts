/** The dashboard's files as a browser gets them. */
import { createHash } from "node:crypto";
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { TestControl } from "../testing.ts";
import { layout } from "./client/network/layout.ts";
import { portsOf, readPorts, ruleText } from "./client/rules.ts";

Deno.test("dashboard gives a page whose files are named and checked by their hash", async () => {
  await using control = await TestControl.start();
  const page = await control.fetch("GET", "/ui/");
  equal(page.status, 200);
  equal(page.headers.get("content-type"), "text/html; charset=utf-8");
  equal(page.headers.get("cache-control"), "no-cache");
  const html = await page.text();
  ok(!html.includes("%"), "every name is filled in");
  const named = [...html.matchAll(/(?:src|href)="([^"]+)"(?: integrity="([^"]+)")?/g)];
  deepEqual(named.map(([, name]) => name!.replace(/-\w+\./, ".")).sort(), [
    "app.js",
    "icon.svg",
    "style.css",
  ]);
  for (const [, name, integrity] of named) {
    const file = await control.fetch("GET", `/ui/${name}`);
    equal(file.status, 200);
    match(file.headers.get("cache-control")!, /immutable/);
    const hash = createHash("sha384").update(await file.text()).digest("base64");
    if (!name!.endsWith(".svg")) equal(integrity, `sha384-${hash}`);
  }
});

Deno.test("dashboard lets a browser load nothing but its own files, and be framed by nobody", async () => {
  await using control = await TestControl.start();
  const { headers, body } = await control.fetch("GET", "/ui/");
  await body!.cancel();
  const policy = headers.get("content-security-policy")!.split("; ");
  deepEqual(policy.slice(0, 5), [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
  ]);
  for (const rule of ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]) {
    ok(policy.includes(rule), rule);
  }
  ok(!policy.some((rule) => /unsafe|\*|https?:|data:/.test(rule)));
  equal(headers.get("x-content-type-options"), "nosniff");
  equal(headers.get("referrer-policy"), "no-referrer");
});

Deno.test("dashboard is where / leads on the control plane's own name, and on no other", async () => {
  await using control = await TestControl.start();
  const ask = async (host: string, path: string) =>
    await control.app.request(`https://${host}${path}`);
  for (const path of ["/", "/ui"]) {
    const { status, headers } = await ask("control.test", path);
    equal(status, 302);
    equal(headers.get("location"), "/ui/");
  }
  for (const host of ["api.control.test", "auth.control.test"]) {
    equal((await ask(host, "/")).status, 404);
  }
  equal((await ask("control.test", "/ui/no-such-file.js")).status, 404);
  equal((await ask("control.test", "/ui/../deno.json")).status, 404);
});

Deno.test("dashboard's script is what its source makes", async () => {
  const root = new URL("../../", import.meta.url);
  const dir = await Deno.makeTempDir({ prefix: "nexd-dashboard-" });
  try {
    const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
    const path = "control/dashboard/assets/app.js";
    const args = (tasks.dashboard as string).split(" ").slice(1)
      .map((word) => word === path ? `${dir}/app.js` : word);
    const made = await new Deno.Command(Deno.execPath(), { args, cwd: root }).output();
    ok(made.success, new TextDecoder().decode(made.stderr));
    ok(
      await Deno.readTextFile(`${dir}/app.js`) === await Deno.readTextFile(new URL(path, root)),
      "run: deno task dashboard",
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("dashboard's picture has every node inside and apart, and stays as it is when nothing changes", () => {
  for (const size of [{ width: 380, height: 460 }, { width: 800, height: 520 }]) {
    for (const count of [1, 2, 12, 60]) {
      const ids = Array.from({ length: count }, (_, i) => `node-${i}`);
      const places = layout(ids, ["relay 1", "relay 2"], size);
      equal(places.size, count + 2);
      for (const [id, { x, y }] of places) {
        ok(x >= 0 && x <= size.width && y >= 0 && y <= size.height, id);
        for (const [other, place] of places) {
          // Sixty on a phone touch each other.
          const far = count === 60 ? 8 : 30;
          ok(id === other || Math.hypot(place.x - x, place.y - y) > far, `${id} ${other}`);
        }
      }
      deepEqual(layout(ids, ["relay 1", "relay 2"], size), places);
    }
    deepEqual(layout([], [], size), new Map());
  }
});

Deno.test("dashboard reads the ports of a rule as it writes them, and refuses what are none", () => {
  for (const [from_port, to_port, text] of [[0, 0, ""], [22, 22, "22"], [80, 443, "80-443"]]) {
    const ports = { from_port: Number(from_port), to_port: Number(to_port) };
    equal(portsOf({ ip_protocol: "tcp", ...ports }), text);
    deepEqual(readPorts(String(text)), ports);
  }
  deepEqual(readPorts(" 80 - 90 "), { from_port: 80, to_port: 90 });
  for (const text of ["ssh", "22,80", "-1", "1-", "123456", "1-2-3"]) {
    equal(readPorts(text), undefined, text);
  }
  const rule = { ip_protocol: "tcp", from_port: 22, to_port: 22, ip_ranges: ["10.0.0.0/8"] };
  equal(ruleText(rule, "from"), "TCP port 22 from 10.0.0.0/8");
  equal(ruleText({ ip_protocol: "", from_port: 0, to_port: 0 }, "to"), "Everything to anywhere");
});
