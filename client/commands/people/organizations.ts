/**
 * `nexd organization …` and `nexd invitation …`: who shares VPCs with whom.
 *
 * @module
 */
import { usageError } from "../../errors.ts";
import { parseJson } from "../../output/mod.ts";
import { type Command, present } from "../types.ts";
import { INVITATION, MEMBER, ORGANIZATION } from "../views.ts";

const ROLES = ["member", "owner"];

/** By the words of the command. */
export const ORGANIZATION_COMMANDS: Record<string, Command> = {
  "organization list": async ({ calls }) => ({
    text: await calls.get("/api/organizations"),
    view: ORGANIZATION,
  }),
  "organization create": async ({ flags, calls }) => {
    const body = present({
      name: flags.required("name"),
      description: flags.filled("description"),
    });
    return { text: await calls.post("/api/organizations", body), view: ORGANIZATION };
  },
  "organization delete": async ({ flags, calls }) => ({
    text: await calls.delete(`/api/organizations/${flags.requiredId("organization-id")}`),
    view: ORGANIZATION,
    done: "successfully deleted",
  }),
  "organization user list": async ({ flags, calls }) => ({
    text: await calls.get(`/api/organizations/${flags.requiredId("organization-id")}/users`),
    view: MEMBER,
  }),
  "organization user delete": async ({ flags, calls }) => {
    const organization = flags.requiredId("organization-id");
    const user = flags.requiredId("user-id");
    return {
      text: await calls.delete(`/api/organizations/${organization}/users/${user}`),
      view: MEMBER,
      done: "successfully deleted",
    };
  },

  "invitation list": async ({ calls }) => ({
    text: await calls.get("/api/invitations"),
    view: INVITATION,
  }),
  "invitation create": async ({ flags, calls }) => {
    const email = flags.filled("email"), user = flags.id("user-id");
    if ((email === undefined) === (user === undefined)) {
      throw usageError(
        "An invitation is for one person: give either --email ADDRESS or --user-id UUID",
      );
    }
    const given = flags.id("organization-id");
    const roles = flags.words("role", ROLES);
    const body = present({
      organization_id: given ?? await calls.me(),
      email,
      user_id: user,
      roles,
    });
    const text = await calls.post("/api/invitations", body);
    const { link } = parseJson(text) as { link?: unknown };
    return {
      text,
      view: INVITATION,
      ...(typeof link === "string"
        ? { done: `Nobody here has this address; give the person this link, good once:\n  ${link}` }
        : {}),
    };
  },
  "invitation delete": async ({ flags, calls }) => ({
    text: await calls.delete(`/api/invitations/${flags.requiredId("inv-id")}`),
    view: INVITATION,
    done: "successfully deleted",
  }),
  "invitation accept": async ({ flags, calls }) => ({
    text: await calls.post(`/api/invitations/${flags.requiredId("inv-id")}/accept`),
    view: INVITATION,
    done: "successfully accepted",
  }),
};
