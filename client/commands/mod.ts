/**
 * The commands of `table.ts`, by their words.
 *
 * @module
 */
import { DEVICE_COMMANDS } from "./devices.ts";
import { PEOPLE_COMMANDS } from "./people/mod.ts";
import { REG_KEY_COMMANDS } from "./reg_keys.ts";
import { RELAY_REGION_COMMANDS } from "./relay_regions.ts";
import { SECURITY_GROUP_COMMANDS } from "./security_groups.ts";
import type { Command } from "./types.ts";
import { VPC_COMMANDS } from "./vpcs.ts";

export type { Secrets } from "./types.ts";

/** All of them. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  ...DEVICE_COMMANDS,
  ...VPC_COMMANDS,
  ...REG_KEY_COMMANDS,
  ...SECURITY_GROUP_COMMANDS,
  ...PEOPLE_COMMANDS,
  ...RELAY_REGION_COMMANDS,
};
