/**
 * The receive rate limit.
 *
 * @module
 */
export { Bucket, type RateLimit } from "./bucket.ts";
export { Pace } from "./pace.ts";
