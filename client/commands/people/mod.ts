/**
 * Commands about who uses the control plane: users, accounts, organizations, and what each has done.
 *
 * @module
 */
import type { Command } from "../types.ts";
import { ACCOUNT_COMMANDS } from "./accounts.ts";
import { AUDIT_COMMANDS } from "./audit.ts";
import { ORGANIZATION_COMMANDS } from "./organizations.ts";
import { USER_COMMANDS } from "./users.ts";

/** All of them. */
export const PEOPLE_COMMANDS: Readonly<Record<string, Command>> = {
  ...ORGANIZATION_COMMANDS,
  ...USER_COMMANDS,
  ...ACCOUNT_COMMANDS,
  ...AUDIT_COMMANDS,
};
