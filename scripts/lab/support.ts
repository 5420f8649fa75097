/** What the lab's tests share: whether this machine can carry a lab at all. */
import { Lab } from "./mod.ts";

let reason: string | undefined | null = null;

/** The reason why labs cannot be built here; printed once as the test's skip line. */
export async function cannotLab(): Promise<boolean> {
  if (reason === null) {
    try {
      await using _ = await Lab.create({ hosts: 1, nat: "open" });
      reason = undefined;
    } catch (error) {
      reason = (error as Error).message;
    }
  }
  // deno-lint-ignore no-console -- a test's skip line
  if (reason !== undefined) console.log(`skip: ${reason}`);
  return reason !== undefined;
}
