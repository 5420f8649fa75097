/**
 * Archives in the form of POSIX's ustar, the same bytes for the same content.
 *
 * @module
 */
import { PackageError } from "./errors.ts";

/** One member. Paths are relative, without a slash at their end. */
export type Member =
  & { path: string; uid?: number }
  & (
    | { kind: "file"; mode: number; content: Uint8Array }
    | { kind: "directory"; mode: number }
    | { kind: "link"; target: string }
  );

const BLOCK = 512;

function header(member: Member, epoch: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK);
  const put = (at: number, length: number, text: string) => {
    const { read } = new TextEncoder().encodeInto(text, bytes.subarray(at, at + length));
    if (read < text.length) throw new PackageError(`${member.path}: too long for an archive`);
  };
  const number = (at: number, length: number, value: number) =>
    put(at, length, value.toString(8).padStart(length - 1, "0"));
  const name = member.kind === "directory" ? `${member.path}/` : member.path;
  const found = name.length <= 100 ? -1 : name.indexOf("/", name.length - 101);
  const cut = found === name.length - 1 ? -1 : found;
  put(0, 100, name.slice(cut + 1));
  if (cut >= 0) put(345, 155, name.slice(0, cut));
  number(100, 8, member.kind === "link" ? 0o777 : member.mode);
  number(108, 8, member.uid ?? 0);
  number(116, 8, member.uid ?? 0);
  number(124, 12, member.kind === "file" ? member.content.length : 0);
  number(136, 12, epoch);
  put(148, 8, "        ");
  put(156, 1, { file: "0", link: "2", directory: "5" }[member.kind]);
  if (member.kind === "link") put(157, 100, member.target);
  put(257, 8, "ustar\x0000");
  const sum = bytes.reduce((all, byte) => all + byte, 0);
  put(148, 8, sum.toString(8).padStart(6, "0") + "\0 ");
  return bytes;
}

/**
 * An archive of members in the order given, without the directories above them.
 *
 * @param epoch time of every member, seconds since 1970
 * @throws {PackageError} when a path does not fit
 */
export function tar(members: readonly Member[], epoch: number): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (const member of members) {
    parts.push(header(member, epoch));
    if (member.kind !== "file") continue;
    parts.push(member.content, new Uint8Array(-member.content.length & (BLOCK - 1)));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
