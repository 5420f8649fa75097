/**
 * What happens when devices are registered, changed and removed.
 *
 * @module
 */
export { presentDevice, presentDevices, presentOwn } from "./present.ts";
export { type DeviceDeps, registerDevice } from "./register.ts";
export { removeDevice } from "./remove.ts";
export { rotateToken } from "./rotate.ts";
export { updateDevice } from "./update.ts";
