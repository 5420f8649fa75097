/**
 * What the tests across rooms share: a lab with the real components in it, and pings that run while
 * something else happens.
 *
 * @module
 */

import { Lab, type LabProcess, type NatKind } from "../scripts/lab/mod.ts";
import { cannotMesh, underLoad } from "../scripts/lab/support.ts";
import { Mesh, type MeshOptions } from "../scripts/mesh/mod.ts";

/** Runs a test in a new mesh, or says why this machine cannot. The lab is gone afterwards. */
export async function inMesh(
  options: { nat: NatKind } & Partial<MeshOptions>,
  test: (mesh: Mesh, lab: Lab) => Promise<void>,
): Promise<void> {
  const { nat, ...rest } = options;
  const agents = rest.agents ?? ["a", "b"];
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: agents.length, nat });
  await test(await Mesh.start(lab, { ...rest, agents }), lab);
}

/** One answered ping: when (ms since the epoch) and which. */
export interface Reply {
  at: number;
  seq: number;
}

/** A ping that goes on until it is stopped. */
export interface RunningPing {
  /** The replies so far. */
  replies(): Reply[];
  /** Waits for a reply that came after `since` (ms since the epoch); returns when it came. */
  replyAfter(since: number, timeoutMs: number): Promise<number>;
  /** Ends it; returns how many were sent before the last answered one and never answered. */
  stop(): Promise<{ received: number; lost: number }>;
}

/** Pings `to` from `from` through the tunnel every `intervalMs`, in the background. */
export async function pingOn(
  mesh: Mesh,
  from: string,
  to: string,
  intervalMs: number,
  family: 4 | 6 = 4,
): Promise<RunningPing> {
  const { tunnel_ipv4, tunnel_ipv6 } = await mesh.status(to);
  const address = family === 4 ? tunnel_ipv4 : tunnel_ipv6;
  const process: LabProcess = await mesh.lab.host(from).spawn(
    ["ping", "-D", "-n", "-i", String(intervalMs / 1000), address],
    { log: `ping-${from}-${to}-${crypto.randomUUID().slice(0, 8)}` },
  );
  const output = () => {
    try {
      return Deno.readTextFileSync(process.log);
    } catch {
      return ""; // it has not said anything yet
    }
  };
  const replies = () =>
    [...output().matchAll(/^\[([\d.]+)\] \d+ bytes .*icmp_seq=(\d+)/gm)]
      .map(([, at, seq]) => ({ at: Number(at) * 1000, seq: Number(seq) }));
  const replyAfter = async (since: number, timeoutMs: number) => {
    for (const began = Date.now(); Date.now() - began < underLoad(timeoutMs);) {
      const found = replies().find((reply) => reply.at > since);
      if (found !== undefined) return found.at;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`no ping from ${from} to ${to} was answered within ${timeoutMs} ms`);
  };
  await replyAfter(0, 15_000);
  const tally = () => {
    const seqs = replies().map(({ seq }) => seq), seen = new Set(seqs);
    let first = Infinity, last = 0;
    for (const seq of seen) [first, last] = [Math.min(first, seq), Math.max(last, seq)];
    return { received: seen.size, lost: last - first + 1 - seen.size };
  };
  return {
    replies,
    replyAfter,
    async stop() {
      process.kill("SIGINT");
      await process.exited;
      return tally();
    },
  };
}

/** Waits so many milliseconds: only where the passing of time itself is what is tested. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
