/**
 * The pages of the relay: for strangers, for operators, and the short answers for machines.
 *
 * @module
 */
export { BROWSER_HEADERS, htmlPage, plain, redirect, sized, textPage } from "./answers.ts";
export { addDebug } from "./debug/mod.ts";
export { checkDebugKeyFile, debugKey, DebugRule } from "./debug_rule.ts";
export { homePage } from "./home.ts";
export { type Home, parseHome } from "./home_flag.ts";
export { ICON } from "./look/layout.ts";
export { STYLE } from "./look/style.ts";
export { type AppState, type RequestEnv, SharedSnapshot } from "./state.ts";
export { routePath, target } from "./target.ts";
