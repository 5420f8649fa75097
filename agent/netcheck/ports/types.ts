/**
 * The UDP port that STUN is asked from, whoever owns it: a plain socket before WireGuard is there,
 * a raw one beside it afterwards.
 *
 * @module
 */

/** IP version. */
export type Family = 4 | 6;

/** Hands over one datagram; the bytes are valid during the call only. */
export type Take = (datagram: Uint8Array, address: string, port: number) => void;

/** See the top of the file. */
export interface StunPort {
  readonly port: number;
  /** IP versions that it can be asked by, and why not by the others. */
  readonly families: readonly Family[];
  readonly refused: Readonly<Partial<Record<Family, string>>>;
  /** Sends to an address in canonical form. Throws {@link Unreachable} where there is no way. */
  send(family: Family, message: Uint8Array, address: string, port: number): void | Promise<void>;
  /** Receives from now on; `failed` is called when that ends by itself. */
  listen(take: Take, failed: (reason: string) => void): void;
  /** Ends receiving at once; resolves when nothing of it is left. */
  quiet(): Promise<void>;
  /** Gives everything back; calls {@link quiet} where needed. */
  close(): Promise<void>;
}

/** This host has no way to an address now. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}
