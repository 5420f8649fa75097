/**
 * `register.ts URL TOKEN CA COUNT`, on the control plane's host: registers so many devices behind
 * symmetric NATs, which nobody answers for.
 */

import { keyToBase64 } from "../../../relay/derp/mod.ts";

const [url = "", token = "", ca = "", count = "0"] = Deno.args;
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
for (let i = 0; i < Number(count); i++) {
  const [high, low] = [i >> 8, i & 255];
  await call("/api/devices", {
    vpc_id,
    public_key: keyToBase64(crypto.getRandomValues(new Uint8Array(32))),
    hostname: `peer-${i}`,
    os: "linux",
    symmetric_nat: true,
    endpoints: [
      { source: "local", address: `10.9.${high}.${low}:51820` },
      { source: "stun:", address: `198.18.${high}.${low}:${40_000 + i}` },
    ],
  });
}
