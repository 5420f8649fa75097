/**
 * What happens when devices are registered, changed and removed.
 *
 * @module
 */
export { presentDevice, presentDevices } from "./present.ts";
export { type DeviceDeps, registerDevice, type Registered } from "./register.ts";
export { removeDevice } from "./remove.ts";
export { changeable, updateDevice } from "./update.ts";
