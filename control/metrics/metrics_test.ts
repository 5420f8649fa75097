/** Metrics of a control plane, as Prometheus would read them. */
import assert from "node:assert/strict";
import { TestControl } from "../testing.ts";
import { routeOf, statusOf } from "./requests.ts";

const HERE: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1234 };

async function scrape(control: TestControl): Promise<Map<string, number>> {
  const answer = await control.app.request("https://control.test/private/metrics", {}, {
    remoteAddr: HERE,
  });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  const text = await answer.text();
  const typed = new Set([...text.matchAll(/^# TYPE (\S+) (counter|gauge|histogram)$/gm)].map(
    ([, name]) => name!,
  ));
  const samples = new Map<string, number>();
  for (const line of text.trimEnd().split("\n").filter((line) => !line.startsWith("#"))) {
    const [, name, labels = "", value] =
      line.match(/^([a-z_]+)(\{(?:[a-z_]+="[^"\\]*",?)*\})? (\S+)$/) ?? [];
    assert.ok(name, line);
    assert.ok(typed.has(name) || typed.has(name.replace(/_(bucket|sum|count)$/, "")), line);
    assert.ok(!samples.has(name + labels), `${line} is there twice`);
    assert.ok(Number.isFinite(Number(value)), line);
    samples.set(name + labels, Number(value));
  }
  return samples;
}

Deno.test("metrics count answers, streams, devices, writes and refusals", async () => {
  await using control = await TestControl.start({ rates: { perSecond: 1 } });
  const { device, token } = await control.register();
  const before = await scrape(control);
  const stream = await control.watch(token, [{
    kind: "device",
    options: { "vpc-id": device.vpc_id },
  }]);
  await stream.untilTails();
  await control.call("PATCH", `/api/devices/${device.id}`, control.user, { hostname: "renamed" });
  while ((await stream.next()).type !== "change");
  assert.equal(
    (await control.call("GET", `/api/devices/${crypto.randomUUID()}`, control.user)).status,
    404,
  );
  assert.equal((await control.call("GET", "/api/devices")).status, 401);
  const wrong = { username: "ada", password: "wrong" };
  await control.form("/oauth/token", {
    ...{ grant_type: "password", client_id: "nexodus-cli", ...wrong },
  });
  let limited = 0;
  while ((await control.call("GET", "/api/vpcs", control.user)).status !== 429) {
    assert.ok(++limited < 50);
  }
  const after = await scrape(control);
  const rise = (name: string) =>
    (after.get(`nexd_control_${name}`) ?? 0) - (before.get(`nexd_control_${name}`) ?? 0);
  assert.equal(rise('requests_total{route="devices",status="200"}'), 1);
  assert.equal(rise('requests_total{route="devices",status="404"}'), 1);
  assert.equal(rise('requests_total{route="devices",status="401"}'), 1);
  assert.equal(rise('requests_total{route="vpcs",status="429"}'), 1);
  assert.equal(rise('request_seconds_count{route="devices"}'), 3);
  assert.equal(rise('request_seconds_bucket{route="devices",le="+Inf"}'), 3);
  assert.equal(rise("sign_ins_refused_total"), 1);
  assert.equal(rise('rate_limited_total{by="credential"}'), 1);
  assert.equal(rise("streams_open"), 1);
  assert.ok(rise("event_delay_seconds_count") >= 1);
  assert.ok(rise("store_transactions_total") >= 1);
  assert.ok(rise("store_writes_total") >= rise("store_transactions_total"));
  assert.equal(rise("store_errors_total"), 0);
  assert.equal(after.get('nexd_control_build_info{version="test"}'), 1);
  const devices = ["online", "offline"].map((state) =>
    after.get(`nexd_control_devices{state="${state}"}`)!
  );
  assert.equal(devices[0]! + devices[1]!, 1);
  assert.equal(
    after.has('nexd_control_store_connections{state="open"}'),
    control.store.shared,
  );
});

Deno.test("metrics tell how many devices are online", async () => {
  await using control = await TestControl.start();
  const { token } = await control.register();
  await control.register();
  await control.register();
  await control.watch(token, []);
  const samples = await scrape(control);
  const devices = ["online", "offline"].map((state) =>
    samples.get(`nexd_control_devices{state="${state}"}`)
  );
  assert.deepEqual(devices, [1, 2]);
});

Deno.test("metrics go to this host alone, and not through a proxy on it", async () => {
  await using control = await TestControl.start();
  const ask = async (hostname: string, headers: Record<string, string> = {}) => {
    const url = "https://control.test/private/metrics";
    const answer = await control.app.request(url, { headers }, {
      remoteAddr: { ...HERE, hostname },
    });
    await answer.body?.cancel();
    return answer.status;
  };
  assert.equal(await ask("127.0.0.1"), 200);
  assert.equal(await ask("::1"), 200);
  for (const address of ["192.0.2.1", "2001:db8::1", "10.0.0.1", ""]) {
    assert.equal(await ask(address), 404, address);
  }
  for (const header of ["forwarded", "x-forwarded-for", "via"]) {
    assert.equal(await ask("127.0.0.1", { [header]: "127.0.0.1" }), 404, header);
  }
});

Deno.test("metrics have the same few series whatever is asked for", async () => {
  await using control = await TestControl.start();
  const ask = async (id: string) => {
    for (const path of [`/${id}`, `/api/${id}`, `/api/devices/${id}`, `/ui/${id}`]) {
      for (const bearer of [control.user, id]) await control.call("GET", path, bearer);
    }
  };
  await ask("once");
  await scrape(control); // is a request, too
  const series = [...(await scrape(control)).keys()];
  for (let i = 0; i < 30; i++) await ask(`again-${i}`);
  assert.deepEqual([...(await scrape(control)).keys()], series);

  const routes = new Set<string>();
  for (let i = 0; i < 1000; i++) {
    const id = crypto.randomUUID();
    for (const path of [`/${id}`, `/api/${id}`, `/api/vpcs/${id}/events`, `/ui/${id}`, "/", ""]) {
      routes.add(routeOf(path));
    }
  }
  assert.deepEqual([...routes].sort(), ["events", "other", "ui"]);
  assert.equal(routeOf("/api/devices/x/metadata"), "devices");
  assert.equal(routeOf("/api/vpc/x/events"), "events");
  const statuses = new Set(Array.from({ length: 500 }, (_, i) => statusOf(100 + i)));
  assert.ok(statuses.size <= 21, [...statuses].join());
});
