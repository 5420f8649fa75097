/**
 * `nexd user …`: accounts, and the session that these commands share.
 *
 * @module
 */
import { usageError } from "../../errors.ts";
import { jsonText } from "../../output/mod.ts";
import { accountPath } from "./accounts.ts";
import type { Command } from "../types.ts";
import { USER } from "../views.ts";

/** By the words of the command. */
export const USER_COMMANDS: Record<string, Command> = {
  "user login": async ({ calls, account }) => {
    await account.login();
    const text = await calls.get("/api/users/me");
    const name = account.username;
    return {
      text,
      view: [],
      done: `Signed in to ${account.service}${name === undefined ? "" : ` as ${name}`}`,
    };
  },
  "user logout": async ({ account }) => {
    const { service } = account;
    const left = await account.logout();
    const name = left?.username === undefined ? "" : ` as ${left.username}`;
    return {
      text: jsonText({
        service_url: service,
        signed_out: left !== undefined,
        session_ended: left?.ended ?? false,
      }),
      view: [],
      done: left === undefined
        ? `Nobody is signed in to ${service}`
        : `Signed out of ${service}, where you were signed in${name}` +
          (left.ended ? "" : "; the control plane could not end the session, which ends by itself"),
    };
  },
  "user get-current": async ({ calls }) => ({ text: await calls.get("/api/users/me"), view: USER }),
  "user list": async ({ calls }) => ({ text: await calls.get("/api/users"), view: USER }),
  "user delete": async ({ flags, calls }) => {
    const named = flags.filled("account");
    if (named !== undefined && flags.id("user-id") !== undefined) {
      throw usageError("--account and --user-id contradict each other; leave one out");
    }
    return {
      text: named === undefined
        ? await calls.delete(`/api/users/${flags.requiredId("user-id")}`)
        : await calls.delete(await accountPath(calls, named)),
      view: USER,
      done: "successfully deleted",
    };
  },
  "user remove-user": async ({ flags, calls }) => {
    const user = flags.requiredId("user-id");
    const organization = flags.requiredId("organization-id");
    return {
      text: await calls.delete(`/api/users/${user}/organizations/${organization}`),
      view: USER,
      done: `successfully removed user ${user} from organization ${organization}`,
    };
  },
};
