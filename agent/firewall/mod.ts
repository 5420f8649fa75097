/**
 * The host's security group, enforced with nftables on the tunnel's interface and nowhere else.
 *
 * @module
 */
export { securityGroups } from "./room.ts";
