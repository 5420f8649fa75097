/**
 * `nexd device …`: devices, and what is noted about them.
 *
 * @module
 */
import { type Command, type Input, part, present } from "./types.ts";
import { DEVICE, METADATA } from "./views.ts";

/** By the words of the command. */
export const DEVICE_COMMANDS: Record<string, Command> = {
  "device list": async ({ flags, calls }) => {
    const vpc = flags.id("vpc-id");
    const path = vpc === undefined ? "/api/devices" : `/api/vpcs/${vpc}/devices`;
    return { text: await calls.get(path), view: DEVICE };
  },
  "device update": async ({ flags, calls }) => {
    const id = flags.requiredId("device-id");
    const change = present({
      hostname: flags.filled("hostname"),
      security_group_id: flags.id("security-group-id"),
    });
    return {
      text: await calls.patch(`/api/devices/${id}`, change),
      view: DEVICE,
      done: "successfully updated",
    };
  },
  "device delete": async ({ flags, calls }) => ({
    text: await calls.delete(`/api/devices/${flags.requiredId("device-id")}`),
    view: DEVICE,
    done: "successfully deleted",
  }),
  "device metadata get": async ({ flags, calls }) => {
    const key = flags.filled("key");
    const path = metadata(flags) + (key === undefined ? "" : `/${part(key)}`);
    return { text: await calls.get(path), view: METADATA };
  },
  "device metadata set": async ({ flags, calls }) => {
    const path = `${metadata(flags)}/${part(flags.required("key"))}`;
    return { text: await calls.put(path, flags.requiredObject("value")), view: METADATA };
  },
  "device metadata delete": async ({ flags, calls }) => ({
    text: await calls.delete(`${metadata(flags)}/${part(flags.required("key"))}`),
    view: METADATA,
    done: "successfully deleted",
  }),
  "device metadata clear": async ({ flags, calls }) => ({
    text: await calls.delete(metadata(flags)),
    view: METADATA,
    done: "successfully cleared",
  }),
};

function metadata(flags: Input["flags"]): string {
  return `/api/devices/${flags.requiredId("device-id")}/metadata`;
}
