import { getLogger } from "@logtape/logtape";
import { z } from "@hono/zod-openapi";
import {
  ownDevices,
  presentDevice,
  presentListed,
  presentOwn,
  registerDevice,
  removeDevice,
  rotateToken,
  updateDevice,
  visibleDevice,
} from "../../devices/mod.ts";
import { answers, type App, endpoint, json } from "../../http/mod.ts";
import { listAnswer, listOptions, listQuery, type ListSpec, textField } from "../../http/mod.ts";
import { toDevice } from "../../store/mod.ts";
import type { ApiDeps } from "../context.ts";
import { deviceSchema, endpointSchema, errorSchema, idParams, text, uuid } from "../schemas.ts";
import type { AddDevice, UpdateDevice } from "../types.ts";

const log = getLogger(["nexd", "control", "api"]);

const shared = {
  hostname: text(255).nullish(),
  relay: z.boolean().nullish(),
  symmetric_nat: z.boolean().nullish(),
  endpoints: z.array(endpointSchema).max(16).nullish(),
  advertise_cidrs: z.array(z.string().max(64)).max(64).nullish(),
  security_group_id: uuid.nullish(),
};

const addSchema = z.object({
  public_key: z.string().max(128),
  vpc_id: uuid,
  os: text(64).nullish(),
  ipv4_tunnel_ips: z.array(z.object({ address: z.string().max(64) })).max(16).nullish(),
  ...shared,
}).openapi("AddDevice");

const updateSchema = z.object({
  vpc_id: uuid.nullish(),
  revision: z.number().int().nullish(),
  ...shared,
}).openapi("UpdateDevice");

const errors = {
  400: answers("A field is missing or unusable", errorSchema),
  404: answers("No such VPC, group or device for this caller", errorSchema),
};

/** Lists of devices. */
export const DEVICES: ListSpec = {
  fields: {
    id: textField("devices.id"),
    owner_id: textField("devices.owner_id"),
    vpc_id: textField("devices.vpc_id"),
    public_key: textField("devices.public_key"),
    hostname: textField("devices.hostname"),
    os: textField("devices.os"),
    security_group_id: textField("devices.security_group_id"),
    relay: { column: "devices.relay", kind: "boolean" },
    symmetric_nat: { column: "devices.symmetric_nat", kind: "boolean" },
    online: { column: "devices.online", kind: "boolean" },
    revision: { column: "devices.revision", kind: "integer" },
  },
  order: "hostname",
  key: ["devices.id"],
};

/** Devices. */
export function deviceRoutes(app: App, deps: ApiDeps): void {
  endpoint(app, {
    method: "get",
    path: "/api/devices",
    summary: "The caller's own devices, ordered by host name",
    query: listQuery,
    responses: { 200: answers("The devices", z.array(deviceSchema)) },
  }, async (c, { query }) => {
    const principal = c.get("principal");
    return await listAnswer(
      ownDevices(deps.store.db, principal),
      DEVICES,
      listOptions(query, DEVICES),
      (row) => presentListed(deps.secret, principal, row),
    );
  });

  endpoint(app, {
    method: "post",
    path: "/api/devices",
    summary: "Registers a device",
    body: addSchema,
    responses: {
      201: answers("The device", deviceSchema),
      409: answers("The public key is registered; `id` is its device", errorSchema),
      ...errors,
    },
  }, async (c, { body }) => {
    const principal = c.get("principal");
    const { device, notice } = await registerDevice(deps, principal, body as AddDevice);
    if (notice) log.warn("device {id}: {notice}", { id: device.id, notice });
    return json(
      presentOwn(deps.secret, principal, device),
      201,
      notice ? { "x-nexd-notice": notice } : {},
    );
  });

  endpoint(app, {
    method: "get",
    path: "/api/devices/{id}",
    summary: "A device",
    params: idParams,
    responses: { 200: answers("The device", deviceSchema), 404: { description: "No such device" } },
  }, async (c, { params }) => {
    const principal = c.get("principal");
    const row = await visibleDevice(deps.store.db, principal, params.id);
    return json(presentDevice(deps.secret, principal, row));
  });

  endpoint(app, {
    method: "patch",
    path: "/api/devices/{id}",
    summary: "Changes a device; absent fields stay",
    params: idParams,
    body: updateSchema,
    responses: {
      200: answers("The device", deviceSchema),
      403: answers("Another key made the device, or it is another device", errorSchema),
      ...errors,
    },
  }, async (c, { params, body }) => {
    const principal = c.get("principal");
    const row = await updateDevice(deps, principal, params.id, body as UpdateDevice);
    return json(presentOwn(deps.secret, principal, row));
  });

  endpoint(app, {
    method: "delete",
    path: "/api/devices/{id}",
    summary: "Deletes a device; its addresses are free at once",
    params: idParams,
    responses: { 200: answers("The device as it was left", deviceSchema), 404: errors[404] },
  }, async (c, { params }) => {
    const row = await removeDevice(deps, c.get("principal"), params.id);
    return json(toDevice(row));
  });

  endpoint(app, {
    method: "post",
    path: "/api/devices/{id}/token",
    summary: "Ends a device's token; it registers again and gets another one",
    params: idParams,
    responses: {
      200: answers("The device", deviceSchema),
      403: { description: "The caller is no user" },
      404: errors[404],
    },
  }, async (c, { params }) => {
    const row = await rotateToken(deps, c.get("principal"), params.id);
    return json(toDevice(row));
  });
}
