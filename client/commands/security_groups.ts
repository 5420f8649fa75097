/**
 * `nexd security-group …`: what devices may send and receive.
 *
 * @module
 */
import { type Command, type Input, present } from "./types.ts";
import { SECURITY_GROUP } from "./views.ts";

/** The rules that were given; `[]` lets everything pass, and an absent direction stays as it is. */
function rules({ flags }: Input) {
  return {
    inbound_rules: flags.objects("inbound-rules"),
    outbound_rules: flags.objects("outbound-rules"),
  };
}

/** By the words of the command. */
export const SECURITY_GROUP_COMMANDS: Record<string, Command> = {
  "security-group list": async ({ calls }) => ({
    text: await calls.get("/api/security-groups"),
    view: SECURITY_GROUP,
  }),
  "security-group create": async (input) => {
    const { flags, calls } = input;
    const given = flags.id("vpc-id");
    const fields = { description: flags.filled("description"), ...rules(input) };
    const body = present({ vpc_id: given ?? await calls.me(), ...fields });
    return { text: await calls.post("/api/security-groups", body), view: SECURITY_GROUP };
  },
  "security-group update": async (input) => {
    const { flags, calls } = input;
    const id = flags.requiredId("security-group-id");
    const change = present({ description: flags.text("description"), ...rules(input) });
    return {
      text: await calls.patch(`/api/security-groups/${id}`, change),
      view: SECURITY_GROUP,
      done: "successfully updated",
    };
  },
  "security-group delete": async ({ flags, calls }) => ({
    text: await calls.delete(
      `/api/security-groups/${flags.requiredId("security-group-id")}`,
    ),
    view: SECURITY_GROUP,
    done: "successfully deleted",
  }),
};
