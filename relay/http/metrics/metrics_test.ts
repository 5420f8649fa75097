import assert from "node:assert/strict";
import { METRICS, metricsTable, relayMetrics } from "./mod.ts";
import type { MetricsState } from "./source.ts";
import { freshSnapshot } from "../testing.ts";

/** The reference relay's names that this runtime can tell: DERP, exported names. */
const REFERENCE = [
  "derp_current_connections gauge",
  "derp_current_home_connections gauge",
  "derp_current_notideal_connections gauge",
  "derp_clients_total gauge",
  "derp_clients_local gauge",
  "derp_clients_remote gauge",
  "derp_watchers gauge",
  "derp_current_dup_client_keys gauge",
  "derp_current_dup_client_conns gauge",
  "derp_total_dup_client_conns counter",
  "derp_accepts counter",
  "derp_bytes_received counter",
  "derp_bytes_sent counter",
  "derp_packets_received counter",
  "derp_packets_sent counter",
  "derp_packets_received_kind counter kind",
  "derp_packets_dropped counter reason,kind",
  "derp_bytes_dropped counter reason,kind",
  "derp_unknown_frames counter",
  "derp_home_moves_in counter",
  "derp_home_moves_out counter",
  "derp_got_ping counter",
  "derp_sent_pong counter",
  "derp_peer_gone_disconnected_frames counter",
  "derp_peer_gone_not_here_frames counter",
  "derp_packets_forwarded_out counter",
  "derp_packets_forwarded_in counter",
  "derp_multiforwarder_created counter",
  "derp_multiforwarder_deleted counter",
  "derp_packet_forwarder_delete_other_value counter",
  "derp_sclient_write_timeouts counter",
  "derp_mesh_update_batch_size histogram",
  "derp_mesh_update_loop_count histogram",
  "derp_buffered_write_frames histogram",
  "derp_current_file_descriptors gauge",
  "derp_rate_limit_per_client_bytes_per_second untyped",
  "derp_rate_limit_per_client_burst_bytes untyped",
  "derp_rate_limit_per_client_waited counter",
  "derp_websocket_accepts counter",
  "tls_listener_accepted_connections counter",
  "tls_listener_rejected_connections counter",
  "stun_requests counter disposition",
  "stun_addrfamily counter family",
  "bootstrap_dns_requests counter",
  "bootstrap_dns_published_hits counter",
  "bootstrap_dns_published_misses counter",
  "bootstrap_dns_unpublished_hits counter",
  "bootstrap_dns_unpublished_misses counter",
  "bootstrap_dns_unpublished_percent_misses counter",
  "bootstrap_dns_queried_domains counter",
  "version gauge version,binary",
  "uptime_sec counter",
  "process_start_unix_time gauge",
];

/** A number never given before, nor the difference to the one before it. */
function rising(): () => number {
  let [n, step] = [0, 0];
  return () => n += ++step;
}

/** A state in which every value is another than in any state made before. */
function movedState(next: () => number): MetricsState {
  const snapshot = freshSnapshot();
  snapshot.counters = new Proxy<Record<string, number>>({}, { get: () => next() });
  const list = (numbers: number[]) => numbers.map(next);
  snapshot.dropped = list(snapshot.dropped);
  snapshot.droppedBytes = list(snapshot.droppedBytes);
  snapshot.wireguard = list(snapshot.wireguard);
  for (const name of Object.keys(snapshot.gauges)) {
    snapshot.gauges[name as keyof typeof snapshot.gauges] = next();
  }
  const histogram = () => ({ bounds: [1, 2], counts: [next(), next(), next()], sum: next() });
  snapshot.loginSeconds = histogram();
  snapshot.framesPerWrite = histogram();
  snapshot.meshUpdateBatchSize = histogram();
  snapshot.meshUpdateLoopCount = histogram();
  const states = ["connected", "connecting", "self", "closed"] as const;
  const link = () =>
    states.flatMap((state) =>
      new Array(next()).fill({
        name: "",
        state,
        since: 0,
        keys: 0,
        sentPackets: 0,
        droppedPackets: 0,
      })
    );
  snapshot.mesh = link();
  snapshot.siblings = link();
  snapshot.processes = [{
    pid: 7,
    since: next(),
    cpuSeconds: next(),
    rssBytes: next(),
    sockets: next(),
  }];
  return {
    snapshot,
    stun: {
      requests: { success: next(), not_stun: next(), read_error: next(), write_error: next() },
      families: { ipv4: next(), ipv6: next() },
    } as MetricsState["stun"],
    certificate: { notAfter: 1000 * next() },
    rateLimit: { bytesPerSecond: next(), burst: next() },
    now: 1e6 * next(),
    since: 1000 * next(),
    version: `${next()}`,
  };
}

/** The lines of a page without the values. */
function names(text: string): string[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.slice(0, line.lastIndexOf(" ")));
}

Deno.test("metrics have the reference relay's names, types and labels where they exist", () => {
  const ours = new Set(
    METRICS.map(({ name, type, labels }) =>
      [name, type, ...labels.length > 0 ? [labels.join()] : []].join(" ")
    ),
  );
  for (const wanted of REFERENCE) assert(ours.has(wanted), wanted);
});

Deno.test("every metric moves when what it tells of happens", () => {
  const next = rising();
  const [a, b] = [movedState(next), movedState(next)];
  for (const { name, read } of METRICS) {
    const [x, y] = [read(a), read(b)];
    assert(x !== undefined && y !== undefined, name);
    if (typeof x === "number") assert.notEqual(x, y, name);
    else if ("bounds" in x) assert.notDeepEqual(x, y, name);
    else {
      assert(x.length > 0, name);
      for (const [i, [labels, value]] of x.entries()) {
        const [others, other] = (y as typeof x)[i]!;
        // The value of `version` is its label.
        if (name === "version") assert.notDeepEqual(labels, others);
        else assert.notEqual(value, other, `${name} ${labels}`);
      }
    }
  }
});

Deno.test("metrics have one help, one type and one place each", () => {
  const unique = (list: string[]) => assert.equal(new Set(list).size, list.length);
  unique(METRICS.map(({ name }) => name));
  unique(METRICS.flatMap(({ path }) => path === undefined ? [] : [path.join("/")]));
  for (const { name, help, labels } of METRICS) {
    assert.match(name, /^[a-z][a-z0-9_]*$/);
    assert.match(help, /^[^\n|]{5,120}$/, name);
    for (const label of labels) assert.match(label, /^[a-z]+$/, name);
  }
});

Deno.test("metricsTable has a row for the documentation of every metric", () => {
  const rows = metricsTable().trim().split("\n").slice(2);
  assert.equal(rows.length, METRICS.length);
  for (const row of rows) {
    assert.match(row, /^\| `[a-z0-9_]+(\{[a-z,]+\})?` \| [a-z]+ \| [^|]+ \|$/);
  }
  assert(rows.includes("| `derp_accepts` | counter | DERP connections taken |"));
});

Deno.test("relayMetrics shows all combinations of labels when nothing has happened", async () => {
  const metrics = relayMetrics({
    snapshot: () => Promise.resolve(freshSnapshot()),
    stun: () => undefined,
    version: 'a"b\\',
  });
  const text = await metrics.text();
  const shown = new Set(names(text));
  const reasons =
    "unknown_dest unknown_dest_on_fwd gone_disconnected queue_head queue_tail write_error " +
    "dup_client queue_age";
  for (const reason of reasons.split(" ")) {
    for (const kind of ["disco", "other"]) {
      assert(shown.has(`derp_packets_dropped{reason="${reason}",kind="${kind}"}`), reason);
      assert(shown.has(`derp_bytes_dropped{reason="${reason}",kind="${kind}"}`), reason);
    }
  }
  for (const disposition of ["success", "not_stun", "read_error", "write_error"]) {
    assert(shown.has(`stun_requests{disposition="${disposition}"}`));
  }
  for (const state of ["connected", "connecting", "self", "closed"]) {
    assert(shown.has(`nexd_relay_mesh_links{state="${state}"}`));
  }
  assert.match(text, /^version\{version="a\\"b\\\\",binary="nexd"\} 1$/m);
  assert.match(text, /^uptime_sec 3600$/m);
  assert.match(text, /^# TYPE derp_accepts counter$/m);
  assert.doesNotMatch(text, /rate_limit_per|certificate_expiry/, "there is no limit and no TLS");
  assert.equal(metrics.contentType, "text/plain; version=0.0.4; charset=utf-8");
});

Deno.test("relayMetrics counts each histogram's buckets from the first", async () => {
  const snapshot = freshSnapshot();
  snapshot.loginSeconds = { bounds: [0.01, 1], counts: [3, 4, 5], sum: 9.5 };
  const metrics = relayMetrics({
    snapshot: () => Promise.resolve(snapshot),
    stun: () => undefined,
    version: "",
  });
  const lines = (await metrics.text()).split("\n").filter((line) =>
    /^nexd_relay_login_s/.test(line)
  );
  assert.deepEqual(lines, [
    'nexd_relay_login_seconds_bucket{le="0.01"} 3',
    'nexd_relay_login_seconds_bucket{le="1"} 7',
    'nexd_relay_login_seconds_bucket{le="+Inf"} 12',
    "nexd_relay_login_seconds_sum 9.5",
    "nexd_relay_login_seconds_count 12",
  ]);
});

Deno.test("relayMetrics groups values as the reference's JSON page does", async () => {
  const snapshot = freshSnapshot();
  snapshot.counters = { accepts: 3, packetsReceived: 10, discoReceived: 4 };
  snapshot.gauges.keysLocal = 2;
  const metrics = relayMetrics({
    snapshot: () => Promise.resolve(snapshot),
    stun: () => undefined,
    certificate: () => ({ notAfter: 1_800_000_000_000 }),
    rateLimit: () => ({ bytesPerSecond: 5, burst: 6 }),
    version: "1.2.3",
  });
  const page = JSON.parse(await metrics.json());
  assert.equal(page.derp.accepts, 3);
  assert.equal(page.derp.gauge_clients_local, 2);
  assert.deepEqual(page.derp.counter_packets_received_kind, { disco: 4, other: 6 });
  assert.equal(page.derp.counter_buffered_write_frames.count, 0);
  assert.equal(page.derp.rate_limit_per_client_burst_bytes, 6);
  assert.equal(page.derp.version, "1.2.3");
  assert.equal(page.derp_packets_dropped.queue_age.disco, 0);
  assert.equal(page.stun.counter_requests.success, 0);
  assert.equal(page.nexd_relay.certificate_expiry_unix_time, 1_800_000_000);
  assert.equal(page.cmdline, undefined, "it may hold secrets");
});

Deno.test("relayMetrics fails as the state does when a worker does not tell", async () => {
  const metrics = relayMetrics({
    snapshot: () => Promise.reject(new Error("gone")),
    stun: () => undefined,
    version: "",
  });
  await assert.rejects(metrics.text(), /gone/);
});
