/** Looks lists of names up, within bounds. */

/** Addresses (A, AAAA) or texts (TXT) of a name. Rejects when there are none or nobody answers. */
export type Resolve = (
  name: string,
  type: "A" | "AAAA" | "TXT",
  signal: AbortSignal,
) => Promise<string[]>;

/** Look-ups at the same time, so that a long list does not flood the resolver. */
const AT_ONCE = 8;

/** Addresses kept of a name. */
const MAX_ADDRESSES = 64;

/** A name of a list, and the name whose TXT record holds its percentage, if it has one. */
export interface Entry {
  name: string;
  percentName: string | undefined;
}

/** What a round found: addresses by name, and the part (0 to 1) of clients that may see it. */
export interface Found {
  addresses: string[];
  part: number;
}

/** The system's resolver. */
export async function systemResolve(
  name: string,
  type: "A" | "AAAA" | "TXT",
  signal: AbortSignal,
): Promise<string[]> {
  if (type !== "TXT") return await Deno.resolveDns(name, type, { signal });
  const texts = await Deno.resolveDns(name, type, { signal });
  return texts.map((parts) => parts.join(""));
}

/**
 * Looks all entries up. A name that nobody answers for is left out of the result; when it exists
 * without addresses the list is empty.
 */
export async function resolveEntries(
  entries: readonly Entry[],
  resolve: Resolve,
  signal: AbortSignal,
): Promise<Map<string, Found>> {
  const found = new Map<string, Found>();
  const waiting = entries.values();
  const work = async () => {
    for (const entry of waiting) {
      const one = await resolveEntry(entry, resolve, signal);
      if (one !== undefined) found.set(entry.name, one);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, entries.length) }, work));
  return found;
}

async function resolveEntry(
  { name, percentName }: Entry,
  resolve: Resolve,
  signal: AbortSignal,
): Promise<Found | undefined> {
  const ask = (of: string, type: "A" | "AAAA" | "TXT") =>
    orAborted(Promise.resolve().then(() => resolve(of, type, signal)), signal);
  const [a, aaaa, percent] = await Promise.allSettled([
    ask(name, "A"),
    ask(name, "AAAA"),
    percentName === undefined ? Promise.resolve(["100"]) : ask(percentName, "TXT"),
  ]);
  if (a.status === "rejected" && aaaa.status === "rejected") return undefined;
  const addresses = [a, aaaa].flatMap((one) => one.status === "fulfilled" ? one.value : []);
  return {
    addresses: addresses.slice(0, MAX_ADDRESSES),
    part: percent.status === "fulfilled" ? partOf(percent.value[0]) : 0,
  };
}

/** A percentage, 0 to 100, as a part of one; anything else is none. */
function partOf(text: string | undefined): number {
  if (text === undefined || !/^\d{1,3}(\.\d{1,9})?$/.test(text.trim())) return 0;
  const percent = Number(text);
  return percent > 100 ? 0 : percent / 100;
}

/** Does not wait for a resolver that ignores the signal. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  return Promise.race([promise, aborted])
    .finally(() => signal.removeEventListener("abort", abort));
}
