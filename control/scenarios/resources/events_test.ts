import assert from "node:assert/strict";
import type { WatchEvent } from "../../api/types.ts";
import { newKey } from "../../testing.ts";
import { notFound, People } from "./people.ts";

Deno.test("a member watches another's VPC, from what there is to what happens", async () => {
  await using people = await People.start();
  const [sol, mel, eve] = await Promise.all(["sol", "mel", "eve"].map((n) => people.person(n)));
  await people.join(mel!, sol!);
  const path = `/api/vpcs/${sol!.id}`;
  const make = async (hostname: string) =>
    await sol!.expect(201, "POST", "/api/devices", {
      vpc_id: sol!.id,
      public_key: newKey(),
      hostname,
    });
  const first = await make("first");
  const kinds = ["device-metadata", "security-group", "device"];
  const watches = kinds.map((kind) => ({ kind, gt_revision: 0 }));
  await eve!.refused(404, notFound("vpc"), "POST", `${path}/events`, watches);
  const stream = await people.control.watch(mel!.token, watches, `${path}/events`);
  assert.equal(stream.response.headers.get("content-type"), "application/json;stream=watch");
  const backlog = await stream.untilTails(3);
  const told = (event: WatchEvent) =>
    `${event.kind} ${event.type} ${"value" in event ? JSON.stringify(event.value) : ""}`;
  const of = (kind: string) => backlog.filter((event) => event.kind === kind);
  assert.deepEqual(of("device-metadata").map(({ type }) => type), ["tail"]);
  assert.deepEqual(of("security-group").map(({ type }) => type), ["change", "tail"]);
  assert.deepEqual(of("device").map(({ type }) => type), ["change", "tail"]);
  const { bearer_token: _, ...device } = first;
  assert.ok(told(of("device")[0]!).includes(JSON.stringify(device)));
  assert.ok(!backlog.some((event) => told(event).includes("bearer_token")));

  const next = async (kind: string, type: string, includes: string) => {
    const event = await stream.next(3000);
    assert.deepEqual([event.kind, event.type], [kind, type]);
    assert.ok(told(event).includes(includes) && !told(event).includes("bearer_token"));
  };
  const second = await make("second");
  await next("device", "change", second.id);
  await sol!.expect(200, "PUT", `/api/devices/${second.id}/metadata/k`, { a: 1 });
  await next("device-metadata", "change", '"value":{"a":1}');
  const rules = { inbound_rules: [{ ip_protocol: "icmp" }] };
  await sol!.expect(200, "PATCH", `/api/security-groups/${sol!.id}`, rules);
  await next("security-group", "change", "icmp");
  await sol!.expect(200, "PATCH", path, { description: "another" });
  await sol!.expect(200, "DELETE", `/api/devices/${first.id}`);
  await next("device", "delete", '"public_key":""');
});
