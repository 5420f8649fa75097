/**
 * Invitations: how users come into organizations of others.
 *
 * @module
 */
export {
  acceptInvitation,
  acceptLinked,
  deleteInvitation,
  invitationsQuery,
  invite,
  linkedInvitation,
  toInvitation,
  toNewInvitation,
  visibleInvitation,
} from "./invitations.ts";
