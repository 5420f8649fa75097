/**
 * Listeners: accepting, and handing over from one to the next.
 *
 * @module
 */
export { Intake, type Taker } from "./intake.ts";
