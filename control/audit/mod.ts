/**
 * The audit log: who did what when. A change writes its row in its own transaction, so that there is
 * none without; the rows of each organization are bounded in age and number.
 *
 * @module
 */
export { type Changes, difference } from "./difference.ts";
export { AUDIT, AUDIT_WORDS, auditQuery, type AuditRange, readAuditRange } from "./list.ts";
export { type Actor, type Deed, noteOf, record, SYSTEM } from "./record.ts";
export { type AuditLimits, DEFAULT_AUDIT_LIMITS, trimAuditLog } from "./retention.ts";
export { recordOfAccount, type SignInAttempt, SignInLog } from "./sign_ins.ts";
