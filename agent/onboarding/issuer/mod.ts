/**
 * Signing in as a user: OpenID Connect by password and by device flow, and the session that follows.
 *
 * @module
 */
export { discover, refreshedToken, revoke } from "./client.ts";
export { deviceFlow, type LoginPrompt } from "./device_flow.ts";
export { UserSession } from "./session.ts";
