import { deepEqual } from "node:assert/strict";
import { metadataOf } from "./metadata.ts";

Deno.test("metadata names the relay in every certificate mode, its port when it is another, and its own CA", () => {
  const hostname = "relay.example";
  const of = (mode: "letsencrypt" | "manual" | "selfsigned", port = 443, ca?: string) =>
    metadataOf({ hostname, port, mode, ca });
  const base = { type: "derp", hostname };
  deepEqual(of("letsencrypt"), { ...base, certmodemanual: false });
  deepEqual(of("manual", 8443), { ...base, certmodemanual: true, port: 8443 });
  deepEqual(of("selfsigned", 443, "PEM"), { ...base, certmodemanual: true, ca: "PEM" });
});
