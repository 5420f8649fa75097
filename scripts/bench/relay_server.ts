/**
 * The relay under measurement, in a process of its own. Says its port and its CA file in one line
 * of JSON, and ends with its standard input.
 */
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { startRelay } from "../../relay/mod.ts";

const certificate = await ensureSelfSigned(Deno.args[0]!, ["localhost"]);
const relay = await startRelay({ addr: { hostname: "127.0.0.1", port: 0 }, certificate });
// deno-lint-ignore no-console -- what this process prints is its result
console.log(JSON.stringify({ port: relay.address.port, ca: certificate.caPath }));
for await (const _ of Deno.stdin.readable);
await relay.close();
Deno.exit();
