/** A directory that is gone with the test. */
export function temporary(): { path: string } & Disposable {
  const path = Deno.makeTempDirSync({ prefix: "nexd-acme-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** Serves HTTP-01 answers on a port of 127.0.0.1, until disposed. `asked` counts the requests. */
export function serveTokens(
  port: number,
  answer: (token: string) => string | undefined,
): { asked: number } & AsyncDisposable {
  const prefix = "/.well-known/acme-challenge/";
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    served.asked++;
    const text = pathname.startsWith(prefix) ? answer(pathname.slice(prefix.length)) : undefined;
    return text === undefined ? new Response(null, { status: 404 }) : new Response(text);
  });
  const served = { asked: 0, [Symbol.asyncDispose]: () => server.shutdown() };
  return served;
}

/** Waits until something is so; fails after `timeoutMs`. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!await check()) {
    if (performance.now() > end) throw new Error(`Cannot see that ${what} within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
