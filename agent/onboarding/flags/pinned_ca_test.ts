import { deepEqual, equal, match, rejects, throws } from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { ensureSelfSigned } from "../../../relay/cert/mod.ts";
import { AgentError } from "../../errors.ts";
import { keptCas, pinnedCa, readFingerprint } from "./pinned_ca.ts";

Deno.test("a CA's fingerprint is told from a file, with colons or without", () => {
  const hex = "0123456789abcdef".repeat(4);
  equal(readFingerprint("ca.crt"), undefined);
  equal(readFingerprint("/etc/sha256:x"), undefined);
  equal(readFingerprint(`sha256:${hex}`), hex);
  equal(readFingerprint(`SHA256:${hex.toUpperCase().match(/../g)!.join(":")}`), hex);
  for (const bad of ["", "12", `${hex}0`, hex.replace("0", "g")]) {
    throws(() => readFingerprint(`sha256:${bad}`), /64 hex digits; copy it again/);
  }
});

Deno.test("the control plane's CA is taken by its fingerprint only, and kept", async () => {
  const dir = await Deno.makeTempDir();
  const tls = await ensureSelfSigned(`${dir}/tls`, ["localhost"]);
  const other = await ensureSelfSigned(`${dir}/other`, ["localhost"]);
  const fingerprint = ({ ca }: { ca: string }) => {
    return new X509Certificate(ca).fingerprint256.replaceAll(":", "").toLowerCase();
  };
  let answer = () => new Response(other.ca + tls.ca);
  const asked: string[] = [];
  const server = Deno.serve(
    { ...tls, hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => {
      asked.push(`${new URL(request.url).pathname} ${request.headers.get("authorization")}`);
      return answer();
    },
  );
  const url = new URL(`https://localhost:${server.addr.port}`);
  const state = `${dir}/state`;
  try {
    deepEqual(await pinnedCa(url, fingerprint(tls), state), [tls.ca]);
    deepEqual(asked, ["/ca.crt null"]);
    answer = () => new Response("gone", { status: 404 });
    deepEqual(await pinnedCa(url, fingerprint(tls), state), [tls.ca], "from the state directory");
    equal(asked.length, 1);
    // A file whose name tells of another fingerprint was never checked.
    await Deno.writeTextFile(`${state}/ca-${"0".repeat(16)}.pem`, other.ca);
    deepEqual(await keptCas(state), [tls.ca]);
    deepEqual(await keptCas(`${dir}/none`), []);
    const fails = (expected: RegExp) =>
      rejects(pinnedCa(url, fingerprint(other), state), (error) => {
        match((error as Error).message, expected);
        return error instanceof AgentError;
      });
    await fails(/answered 404, so it has no CA of its own/);
    answer = () =>
      new Response(tls.ca + "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----");
    await fails(/is not the one of --ca sha256:/);
    answer = () => new Response("x".repeat(100_000));
    await fails(/more than a certificate/);
    await server.shutdown();
    await fails(/Cannot get the CA from https:\/\/localhost/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
