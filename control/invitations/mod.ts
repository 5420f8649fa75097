/**
 * Invitations: how users come into organizations of others.
 *
 * @module
 */
export {
  acceptInvitation,
  deleteInvitation,
  invitationsQuery,
  invite,
  toInvitation,
  toNewInvitation,
  visibleInvitation,
} from "./invitations.ts";
