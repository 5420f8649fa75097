/** Every route of the API as a call about the targets of a {@linkcode World}. */
import { BUILT_IN } from "../../relay_regions/mod.ts";
import type { Targets, World } from "./world.ts";

/** How a route is called, and what its answer to somebody who sees the target holds. */
export interface Call {
  /** Values of the path's parameters, in their order. */
  params?: (targets: Targets) => string[];
  body?: (world: World) => unknown;
  /** Of lists: the id that is in it for who sees the target. */
  shows?: keyof Targets;
}

const watches = (path: boolean) => ({ targets: { vpc } }: World) => [
  { kind: "device", ...(path ? {} : { options: { "vpc-id": vpc } }) },
];
const organization = ({ targets }: World) => ({ organization_id: targets.organization });

/** By method and path, as the OpenAPI document has them. */
export const CALLS: Readonly<Record<string, Call>> = {
  "GET /api/users": { shows: "user" },
  "GET /api/users/{id}": { params: (t) => [t.user] },
  "DELETE /api/users/{id}": { params: (t) => [t.user] },
  "DELETE /api/users/{id}/organizations/{organization}": {
    params: (t) => [t.otherMember, t.organization],
  },
  "GET /api/accounts": { shows: "account" },
  "POST /api/accounts": { body: () => ({ username: "newcomer" }) },
  "GET /api/accounts/{id}": { params: (t) => [t.account] },
  "PATCH /api/accounts/{id}": { params: (t) => [t.account], body: () => ({ disabled: true }) },
  "DELETE /api/accounts/{id}": { params: (t) => [t.account] },
  "POST /api/accounts/{id}/password": { params: (t) => [t.account], body: () => ({}) },
  "GET /api/organizations": { shows: "organization" },
  "POST /api/organizations": { body: () => ({ name: "another" }) },
  "GET /api/organizations/{id}": { params: (t) => [t.organization] },
  "DELETE /api/organizations/{id}": { params: (t) => [t.organization] },
  "GET /api/organizations/{id}/users": { params: (t) => [t.organization], shows: "otherMember" },
  "GET /api/organizations/{id}/users/{uid}": { params: (t) => [t.organization, t.otherMember] },
  "DELETE /api/organizations/{id}/users/{uid}": { params: (t) => [t.organization, t.otherMember] },
  "GET /api/invitations": { shows: "invitation" },
  "POST /api/invitations": {
    body: ({ targets }) => ({ organization_id: targets.organization, email: "new@control.test" }),
  },
  "GET /api/invitations/{id}": { params: (t) => [t.invitation] },
  "POST /api/invitations/{id}/accept": { params: (t) => [t.invitation] },
  "DELETE /api/invitations/{id}": { params: (t) => [t.invitation] },
  "GET /api/vpcs": { shows: "vpc" },
  "POST /api/vpcs": { body: organization },
  "GET /api/vpcs/{id}": { params: (t) => [t.vpc] },
  "PATCH /api/vpcs/{id}": { params: (t) => [t.vpc], body: () => ({ description: "renamed" }) },
  "DELETE /api/vpcs/{id}": { params: (t) => [t.vpc] },
  "GET /api/vpcs/{id}/devices": { params: (t) => [t.vpc], shows: "device" },
  "GET /api/vpcs/{id}/metadata": { params: (t) => [t.vpc], shows: "device" },
  "GET /api/vpcs/{id}/security-groups": { params: (t) => [t.vpc], shows: "group" },
  "POST /api/vpcs/{id}/events": { params: (t) => [t.vpc], body: watches(true) },
  "POST /api/vpc/{id}/events": { params: (t) => [t.vpc], body: watches(true) },
  "POST /api/events": { body: watches(false) },
  "GET /api/security-groups": { shows: "group" },
  "POST /api/security-groups": { body: ({ targets }) => ({ vpc_id: targets.vpc }) },
  "GET /api/security-groups/{id}": { params: (t) => [t.group] },
  "PATCH /api/security-groups/{id}": {
    params: (t) => [t.group],
    body: () => ({ description: "renamed" }),
  },
  "DELETE /api/security-groups/{id}": { params: (t) => [t.group] },
  "GET /api/reg-keys": { shows: "regKey" },
  "POST /api/reg-keys": { body: ({ targets }) => ({ vpc_id: targets.vpc }) },
  "GET /api/reg-keys/me": {},
  "GET /api/reg-keys/{key-id}": { params: (t) => [t.regKey] },
  "PATCH /api/reg-keys/{key-id}": {
    params: (t) => [t.regKey],
    body: () => ({ description: "renamed" }),
  },
  "DELETE /api/reg-keys/{key-id}": { params: (t) => [t.regKey] },
  "GET /api/devices": { shows: "device" },
  "POST /api/devices": { body: (world) => world.newDevice() },
  "GET /api/devices/{id}": { params: (t) => [t.device] },
  "PATCH /api/devices/{id}": { params: (t) => [t.device], body: () => ({ hostname: "renamed" }) },
  "DELETE /api/devices/{id}": { params: (t) => [t.device] },
  "POST /api/devices/{id}/token": { params: (t) => [t.device] },
  "GET /api/devices/{id}/metadata": { params: (t) => [t.device], shows: "device" },
  "DELETE /api/devices/{id}/metadata": { params: (t) => [t.device] },
  "GET /api/devices/{id}/metadata/{key}": { params: (t) => [t.device, "k"] },
  "PUT /api/devices/{id}/metadata/{key}": {
    params: (t) => [t.device, "k"],
    body: () => ({ a: 2 }),
  },
  "DELETE /api/devices/{id}/metadata/{key}": { params: (t) => [t.device, "k"] },
  "PUT /api/devices/{id}/paths": {
    params: (t) => [t.device],
    body: () => ({ peers: [], more: 0, relays: [] }),
  },
  "GET /api/vpcs/{id}/paths": { params: (t) => [t.vpc] },
  "GET /api/vpcs/{id}/relays": { params: (t) => [t.vpc] },
  "GET /api/audit": { shows: "network" },
  "GET /api/relay-regions": {},
  "POST /api/relay-regions": { body: () => ({ hostname: "relay.test" }) },
  "GET /api/relay-regions/{id}": { params: () => [BUILT_IN.id] },
  "GET /api/relay-regions/{id}/trend": { params: () => [BUILT_IN.id] },
  "PATCH /api/relay-regions/{id}": {
    params: () => [BUILT_IN.id],
    body: () => ({ drained: true }),
  },
  "DELETE /api/relay-regions/{id}": { params: () => [BUILT_IN.id] },
  "GET /api/fflags": {},
  "GET /api/fflags/{name}": { params: () => ["devices"] },
  "GET /api/service-networks": { shows: "network" },
  "POST /api/service-networks": { body: organization },
  "GET /api/service-networks/{id}": { params: (t) => [t.network] },
  "PATCH /api/service-networks/{id}": {
    params: (t) => [t.network],
    body: () => ({ description: "renamed" }),
  },
  "DELETE /api/service-networks/{id}": { params: (t) => [t.network] },
  "GET /api/service-networks/{id}/sites": { params: (t) => [t.network] },
  "GET /api/ServiceNetworks/{id}/sites": { params: (t) => [t.network] },
  "GET /api/sites": {},
  "POST /api/sites": { body: () => ({}) },
  "GET /api/sites/{id}": { params: (t) => [t.network] },
  "PATCH /api/sites/{id}": { params: (t) => [t.network], body: () => ({}) },
  "DELETE /api/sites/{id}": { params: (t) => [t.network] },
  "POST /api/ca/sign": { body: () => ({}) },
};
