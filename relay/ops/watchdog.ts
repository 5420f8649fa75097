/** Tells the service manager that the relay is alive, as long as it is. */
import type { Notifier } from "./systemd.ts";

/**
 * Notifies at half the watchdog's interval, as the protocol advises, each time after the relay has
 * answered: an event loop that hangs does not come here.
 *
 * @param answers whether what cannot be mended from within is well
 * @returns ends it
 */
export function watch(notifier: Notifier, answers: () => Promise<boolean>): () => void {
  const { watchdogMs } = notifier;
  if (watchdogMs === undefined) return () => {};
  let asking = false;
  const look = async () => {
    if (asking) return;
    asking = true;
    try {
      if (await answers()) notifier.alive();
    } finally {
      asking = false;
    }
  };
  const timer = setInterval(() => void look(), watchdogMs / 2);
  return () => clearInterval(timer);
}
