/**
 * `nexd vpc …` and `nexd service-network …`: what belongs to an organization.
 *
 * @module
 */
import { type Command, present } from "./types.ts";
import { SERVICE_NETWORK, VPC, VPC_METADATA } from "./views.ts";

/** By the words of the command. */
export const VPC_COMMANDS: Record<string, Command> = {
  "vpc list": async ({ calls }) => ({ text: await calls.get("/api/vpcs"), view: VPC }),
  "vpc create": async ({ flags, calls }) => {
    const given = flags.id("organization-id");
    const ranges = present({
      ipv4_cidr: flags.filled("ipv4-cidr"),
      ipv6_cidr: flags.filled("ipv6-cidr"),
    });
    const description = flags.filled("description");
    const body = present({
      organization_id: given ?? await calls.me(),
      description,
      private_cidr: Object.keys(ranges).length > 0,
      ...ranges,
    });
    return { text: await calls.post("/api/vpcs", body), view: VPC };
  },
  "vpc update": async ({ flags, calls }) => {
    const id = flags.requiredId("vpc-id");
    const change = present({ description: flags.text("description") });
    return {
      text: await calls.patch(`/api/vpcs/${id}`, change),
      view: VPC,
      done: "successfully updated",
    };
  },
  "vpc delete": async ({ flags, calls }) => ({
    text: await calls.delete(`/api/vpcs/${flags.requiredId("vpc-id")}`),
    view: VPC,
    done: "successfully deleted",
  }),
  "vpc metadata get": async ({ flags, calls }) => ({
    text: await calls.get(`/api/vpcs/${flags.requiredId("vpc-id")}/metadata`),
    view: VPC_METADATA,
  }),

  "service-network list": async ({ calls }) => ({
    text: await calls.get("/api/service-networks"),
    view: SERVICE_NETWORK,
  }),
  "service-network create": async ({ flags, calls }) => {
    const given = flags.id("organization-id");
    const description = flags.filled("description");
    const body = present({ organization_id: given ?? await calls.me(), description });
    return { text: await calls.post("/api/service-networks", body), view: SERVICE_NETWORK };
  },
  "service-network update": async ({ flags, calls }) => {
    const id = flags.requiredId("service-network-id");
    const change = present({ description: flags.text("description") });
    return {
      text: await calls.patch(`/api/service-networks/${id}`, change),
      view: SERVICE_NETWORK,
      done: "successfully updated",
    };
  },
  "service-network delete": async ({ flags, calls }) => ({
    text: await calls.delete(
      `/api/service-networks/${flags.requiredId("service-network-id")}`,
    ),
    view: SERVICE_NETWORK,
    done: "successfully deleted",
  }),
};
