/**
 * `register.ts URL TOKEN CA KEYS`, on the control plane's host: registers a device behind a symmetric
 * NAT for each of KEYS (a file of base64 private keys, JSON).
 */

import { keyFromBase64, keyToBase64, publicKeyOf } from "../../../../relay/derp/mod.ts";

const [url = "", token = "", ca = "", file = ""] = Deno.args;
const client = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(ca)] });

async function call<T>(path: string, body?: unknown): Promise<T> {
  const answer = await fetch(`${url.replace("://", "://api.")}${path}`, {
    client,
    headers: { "authorization": `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return await answer.json() as T;
}

const { vpc_id } = await call<{ vpc_id: string }>("/api/reg-keys/me");
const keys: string[] = JSON.parse(Deno.readTextFileSync(file));
for (const [i, key] of keys.entries()) {
  const [high, low] = [i >> 8, i & 255];
  await call("/api/devices", {
    vpc_id,
    public_key: keyToBase64(publicKeyOf(keyFromBase64(key))),
    hostname: `peer-${i}`,
    os: "linux",
    symmetric_nat: true,
    endpoints: [
      { source: "local", address: `10.9.${high}.${low}:51820` },
      { source: "stun:", address: `198.18.${high}.${low}:${40_000 + i}` },
    ],
  });
}
