import { fieldInvalid, notAllowed } from "../http/mod.ts";
import { advertise, CidrRefused, PoolExhausted } from "../ipam/mod.ts";
import type { VpcRow, Write } from "../store/mod.ts";

/** Runs a change and turns what the address management refuses into answers for the caller. */
export async function refusals<T>(change: () => Promise<T>): Promise<T> {
  try {
    return await change();
  } catch (error) {
    if (error instanceof PoolExhausted) throw notAllowed(error.message);
    throw error;
  }
}

/** Makes `cidrs` what a device advertises; a refusal is a 400 that names the field and the reason. */
export async function setAdvertised(
  write: Write,
  deviceId: string,
  vpc: VpcRow,
  cidrs: readonly string[],
): Promise<void> {
  try {
    await advertise(write, { id: deviceId, vpc }, cidrs);
  } catch (error) {
    if (error instanceof CidrRefused) throw fieldInvalid("advertise_cidrs", error.message);
    throw error;
  }
}
