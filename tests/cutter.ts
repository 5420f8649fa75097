/**
 * `cutter.ts FROM TO`: hands TCP connections on to a port of this host and ends each after some more
 * bytes towards the client than the one before, wherever in a record or a line that is.
 */
const [from = "", to = ""] = Deno.args;
const write = (line: string) => void Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
/** From within the handshake, in odd steps, to the end of what there is to tell, bytes. */
const FIRST = 900, STEP = 377;
/** Who has told all there is, for so long, is cut as well, ms. */
const IDLE = 500;

let count = 0;
const listener = Deno.listen({ port: Number(from) });
write("ready");
for await (const client of listener) {
  const limit = FIRST + STEP * count;
  const number = ++count;
  void (async () => {
    using near = client;
    const far = await Deno.connect({ port: Number(to) });
    void near.readable.pipeTo(far.writable).catch(() => {});
    let left = limit;
    const buffer = new Uint8Array(16_384);
    while (left > 0) {
      const idle = setTimeout(() => far.close(), IDLE);
      const n = await far.read(buffer.subarray(0, Math.min(left, buffer.length))).catch(() => null);
      clearTimeout(idle);
      if (n === null) break;
      for (let at = 0; at < n;) at += await near.write(buffer.subarray(at, n));
      left -= n;
    }
    try {
      far.close();
    } catch { /* it was idle */ }
    write(`cut ${number} after ${limit - left} bytes`);
  })().catch(() => {});
}
