/**
 * `nexd reg-key …`: the keys that let hosts join.
 *
 * @module
 */
import { type Command, type Input, present } from "./types.ts";
import { regKeyView } from "./views.ts";

/** What a key is made with and may be changed to. */
function fields({ flags }: Input) {
  return {
    description: flags.text("description"),
    security_group_id: flags.id("security-group-id"),
    expires_at: flags.time("expiration", Date.now()),
    settings: flags.object("settings"),
  };
}

/** How a host joins with the key of an answer, in words. */
function joinLine(text: string, account: Input["account"]): string | undefined {
  const token = /"bearer_token":\s*"(RK:[\w+/=-]{1,256})"/.exec(text)?.[1];
  return token === undefined ? undefined : `Join a host with: nexd ${account.joinFlags(token)}`;
}

/** By the words of the command. */
export const REG_KEY_COMMANDS: Record<string, Command> = {
  "reg-key list": async ({ calls, account }) => ({
    text: await calls.get("/api/reg-keys"),
    view: regKeyView(account.service),
  }),
  "reg-key create": async (input) => {
    const { flags, calls, account } = input;
    const { description, ...others } = fields(input);
    const given = flags.id("vpc-id");
    const body = present({
      vpc_id: given ?? await calls.me(),
      description: description || undefined,
      single_use: flags.on("single-use"),
      ...others,
    });
    const text = await calls.post("/api/reg-keys", body);
    const join = joinLine(text, account);
    return {
      text,
      view: regKeyView(account.service),
      ...(join === undefined ? {} : { done: join }),
    };
  },
  "reg-key update": async (input) => {
    const { flags, calls, account } = input;
    const id = flags.requiredId("reg-key-id");
    return {
      text: await calls.patch(`/api/reg-keys/${id}`, present(fields(input))),
      view: regKeyView(account.service),
      done: "successfully updated",
    };
  },
  "reg-key delete": async ({ flags, calls, account }) => ({
    text: await calls.delete(`/api/reg-keys/${flags.requiredId("reg-key-id")}`),
    view: regKeyView(account.service),
    done: "successfully deleted",
  }),
};
