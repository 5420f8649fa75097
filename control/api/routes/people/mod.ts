/**
 * Routes of who there is and what they did: accounts, users, organizations, invitations, the audit log.
 *
 * @module
 */
export { accountRoutes } from "./accounts.ts";
export { auditRoutes, auditTopic } from "./audit.ts";
export { invitationRoutes } from "./invitations.ts";
export { organizationRoutes } from "./organizations.ts";
export { userRoutes } from "./users.ts";
