/**
 * The commands of `table.ts`, by their words.
 *
 * @module
 */
import { ACCOUNT_COMMANDS } from "./accounts.ts";
import { AUDIT_COMMANDS } from "./audit.ts";
import { DEVICE_COMMANDS } from "./devices.ts";
import { ORGANIZATION_COMMANDS } from "./organizations.ts";
import { REG_KEY_COMMANDS } from "./reg_keys.ts";
import { RELAY_REGION_COMMANDS } from "./relay_regions.ts";
import { SECURITY_GROUP_COMMANDS } from "./security_groups.ts";
import type { Command } from "./types.ts";
import { USER_COMMANDS } from "./users.ts";
import { VPC_COMMANDS } from "./vpcs.ts";

export type { Secrets } from "./types.ts";

/** All of them. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  ...DEVICE_COMMANDS,
  ...VPC_COMMANDS,
  ...REG_KEY_COMMANDS,
  ...SECURITY_GROUP_COMMANDS,
  ...ORGANIZATION_COMMANDS,
  ...USER_COMMANDS,
  ...ACCOUNT_COMMANDS,
  ...RELAY_REGION_COMMANDS,
  ...AUDIT_COMMANDS,
};
