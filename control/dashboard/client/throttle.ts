/** Times of a {@linkcode throttled} function, ms. */
export interface ThrottleTimes {
  /** From the first call to the run. */
  settle: number;
  /** From one run to the next, at least. */
  every: number;
}

/**
 * A function to be called as often as one likes: `run` runs soon after the first call, and, where there
 * were calls since it began, again, but never twice at the same time and not more often than it may.
 */
export function throttled(
  run: () => Promise<unknown>,
  { settle, every }: ThrottleTimes,
  later: (act: () => void, ms: number) => void = setTimeout,
): () => void {
  let state: "idle" | "due" | "busy" = "idle", again = false;
  const due = (ms: number) => {
    state = "due";
    later(go, ms);
  };
  const go = async () => {
    state = "busy";
    again = false;
    const pause = new Promise<void>((resolve) => later(resolve, every));
    await Promise.all([run().catch(() => {}), pause]);
    state = "idle";
    if (again) due(0);
  };
  return () => {
    if (state === "idle") due(settle);
    else if (state === "busy") again = true;
  };
}
