/**
 * What commands are given, and what they give.
 *
 * @module
 */
import type { Calls } from "../calls.ts";
import type { View } from "../output/mod.ts";
import type { Account } from "../session/mod.ts";
import type { Flags } from "../values.ts";

/** What a command works with. */
export interface Input {
  flags: Flags;
  calls: Calls;
  account: Account;
  secrets: Secrets;
}

/** Where passwords come from that are no flags. */
export interface Secrets {
  /** What a person types, unseen; `remedy` is the sentence where nobody can. */
  ask(label: string, remedy: string): Promise<string>;
  /** So many lines of standard input. */
  lines(count: number): Promise<string[]>;
}

/** What it answers. */
export interface Result {
  /** The answer of the API as it came; empty where there was none. */
  text: string;
  view: View;
  /** What was done, in words. */
  done?: string;
  /** What follows, for as long as nobody interrupts it: answers as {@link Result.text}. */
  more?: (signal: AbortSignal) => AsyncIterable<string>;
}

/** A command. It checks all flags before its first call. */
export type Command = (input: Input) => Promise<Result>;

/** One part of a path. */
export const part = encodeURIComponent;

/** An object without the fields that have no value: what is absent is not sent. */
export function present(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
