/** The stream of the audit log: that something was done, as it happens. */
import { request } from "./session.ts";

/** A stream that says nothing for this long is dead, ms: the server says something each 15 s. */
const SILENCE = 45_000;

/**
 * Calls `wake` whenever something was done, and once at the start, until the stream ends.
 *
 * @param options of the watch: one organization's, or, empty, all that the user may read
 * @param after the newest entry that is known; 0: none
 */
export async function hear(
  options: Record<string, string>,
  after: number,
  stop: AbortSignal,
  wake: () => Promise<void>,
): Promise<void> {
  const cut = new AbortController();
  let timer = 0;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => cut.abort(), SILENCE);
  };
  heard();
  try {
    const watch = { kind: "audit-log", gt_revision: after, at_tail: true, options };
    const any = AbortSignal.any([stop, cut.signal]);
    const response = await request("POST", "/api/events", [watch], any);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    // Between the last reading and the stream something may have come.
    await wake();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      if (value.trim() !== "") await wake();
    }
  } finally {
    clearTimeout(timer);
    cut.abort();
  }
}
