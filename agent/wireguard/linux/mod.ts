/**
 * WireGuard on Linux: the kernel's own and wireguard-go.
 *
 * @module
 */
export { KernelUnavailable, openKernel } from "./kernel.ts";
export { cleanLeftover } from "./leftover.ts";
export { openWireGuardGo } from "./wireguard_go.ts";
