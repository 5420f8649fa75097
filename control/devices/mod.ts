/**
 * What happens when devices are registered, changed and removed.
 *
 * @module
 */
export { ownDevices, vpcDevices } from "./list.ts";
export { presentDevice, presentListed, presentOwn } from "./present.ts";
export { visibleDevice } from "./access.ts";
export { isEndpointAddress } from "./endpoint.ts";
export { type DeviceDeps, registerDevice } from "./register.ts";
export { dropDevice, removeDevice } from "./remove.ts";
export { rotateToken } from "./rotate.ts";
export { updateDevice } from "./update.ts";
