/**
 * The environment that labs and tests get: this program's, without the user's own settings of nexd,
 * which would reach every agent, relay and control plane started there.
 *
 * @module
 */

/**
 * This program's environment without `NEXD_…`, for a command with `clearEnv: true`.
 *
 * @param keep prefix of the `NEXD_…` names that are handed on all the same
 */
export function environmentWithoutNexd(keep?: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) =>
      !name.startsWith("NEXD_") || (keep !== undefined && name.startsWith(keep))
    ),
  );
}
