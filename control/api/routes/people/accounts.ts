import { z } from "@hono/zod-openapi";
import {
  answers,
  type ApiContext,
  type App,
  endpoint,
  fieldMissing,
  json,
  listAnswer,
  listOptions,
  listQuery,
  type ListSpec,
  Problem,
  textField,
} from "../../../http/mod.ts";
import {
  accountsQuery,
  type AccountView,
  addAccount,
  changeAccount,
  ownAccount,
  removeAccount,
  resetPassword,
  toAccount,
  visibleAccount,
} from "../../../users/mod.ts";
import type { ApiDeps } from "../../context.ts";
import { errorSchema, idParams, pathId, text } from "../../schemas.ts";

const password = z.string().max(1024).nullish();
const fields = {
  full_name: text(256).nullish(),
  email: text(254).nullish().openapi({ description: "Invitations to it are this person's" }),
  operator: z.boolean().nullish().openapi({ description: "Runs this control plane" }),
};

const addSchema = z.object({
  username: text(64).nullish(),
  password: password.openapi({ description: "Absent: one is made, and answered once" }),
  ...fields,
}).openapi("AddAccount");

const updateSchema = z.object({
  ...fields,
  disabled: z.boolean().nullish().openapi({
    description: "Its sessions end, and its registration keys let nobody in",
  }),
}).openapi("UpdateAccount");

const passwordSchema = z.object({
  password: password.openapi({ description: "Absent: one is made, and answered once" }),
  old_password: z.string().max(1024).nullish().openapi({ description: "Of one's own account" }),
}).openapi("SetPassword");

const accountSchema = z.object({
  id: z.string(),
  username: z.string(),
  full_name: z.string(),
  email: z.string(),
  operator: z.boolean(),
  disabled: z.boolean(),
  created_at: z.string(),
  user_id: z.string().optional(),
}).openapi("Account");

const madeSchema = accountSchema.extend({ password: z.string().optional() })
  .openapi("AccountWithPassword");

const changedSchema = madeSchema.extend({
  tokens: z.object({
    access_token: z.string(),
    token_type: z.string(),
    expires_in: z.number().int(),
    refresh_token: z.string().optional(),
    id_token: z.string(),
    scope: z.string(),
  }).optional().openapi({ description: "Of the next session, after one's own password" }),
}).openapi("ChangedPassword");

const SPEC: ListSpec = {
  fields: {
    id: textField("accounts.id"),
    username: textField("accounts.username"),
    full_name: textField("accounts.full_name"),
    email: textField("accounts.email"),
  },
  order: "username",
  key: ["accounts.id"],
};

const account = answers("The account", accountSchema);
const unusable = answers("A field cannot be used, or it is the only operator", errorSchema);
const forbidden = answers("The caller is not the operator", errorSchema);
const unknown = answers("No such account", errorSchema);
const elsewhere = answers("Another issuer keeps the accounts", errorSchema);
const own = z.object({ id: z.union([z.literal("me"), pathId]) });

/** Accounts of this control plane: the operator keeps them, a person changes the own password. */
export function accountRoutes(app: App, deps: ApiDeps): void {
  const { store } = deps;

  endpoint(app, {
    method: "get",
    path: "/api/accounts",
    summary: "All accounts, for the operator",
    query: listQuery,
    responses: {
      200: answers("The accounts", z.array(accountSchema)),
      403: forbidden,
      405: elsewhere,
    },
  }, async (c, { query }) => {
    keptHere(deps);
    const accounts = await accountsQuery(store.db, c.get("principal"));
    return await listAnswer<AccountView>(accounts, SPEC, listOptions(query, SPEC), toAccount);
  });

  endpoint(app, {
    method: "post",
    path: "/api/accounts",
    summary: "Makes an account, by the operator",
    body: addSchema,
    responses: {
      201: answers("The account; its password if that was made", madeSchema),
      400: unusable,
      403: forbidden,
      405: elsewhere,
      409: answers("The name is taken; `id` is the other's", errorSchema),
    },
  }, async (c, { body }) => {
    keptHere(deps);
    const { account, password } = await addAccount(store, c.get("principal"), body);
    return json({ ...toAccount(account), ...(password === undefined ? {} : { password }) }, 201);
  });

  endpoint(app, {
    method: "get",
    path: "/api/accounts/{id}",
    summary: "An account, by id or `me`: one's own, or any for the operator",
    params: own,
    responses: { 200: account, 403: forbidden, 404: unknown, 405: elsewhere },
  }, async (c, { params }) => {
    keptHere(deps);
    return json(toAccount(await visibleAccount(store.db, c.get("principal"), params.id)));
  });

  endpoint(app, {
    method: "patch",
    path: "/api/accounts/{id}",
    summary: "Changes, disables or enables an account, by the operator; absent fields stay",
    params: idParams,
    body: updateSchema,
    responses: { 200: account, 400: unusable, 403: forbidden, 404: unknown, 405: elsewhere },
  }, async (c, { params, body }) => {
    keptHere(deps);
    return json(toAccount(await changeAccount(store, c.get("principal"), params.id, body)));
  });

  endpoint(app, {
    method: "delete",
    path: "/api/accounts/{id}",
    summary: "Deletes an account with its user and that user's devices and keys, by the operator",
    params: idParams,
    responses: { 200: account, 400: unusable, 403: forbidden, 404: unknown, 405: elsewhere },
  }, async (c, { params }) => {
    keptHere(deps);
    return json(toAccount(await removeAccount(store, c.get("principal"), params.id)));
  });

  endpoint(app, {
    method: "post",
    path: "/api/accounts/{id}/password",
    summary: "Sets a password: one's own with the old one, any by the operator; its sessions end",
    params: own,
    body: passwordSchema,
    responses: {
      200: answers("It is set", changedSchema),
      400: answers("A password is missing, wrong, or too easy", errorSchema),
      403: forbidden,
      404: unknown,
      405: elsewhere,
      429: answers("Too many wrong passwords", errorSchema),
    },
  }, async (c, { params, body }) => {
    keptHere(deps);
    const principal = c.get("principal");
    const row = await visibleAccount(store.db, principal, params.id);
    if (row.user_id !== principal.ownerId) {
      const { account, password } = await resetPassword(store, principal, row.id, body.password);
      return json({ ...toAccount(account), ...(password === undefined ? {} : { password }) });
    }
    if (!body.password) throw fieldMissing("password");
    if (!body.old_password) throw fieldMissing("old_password");
    const tokens = await deps.issuer!.changePassword!({
      account: row,
      bearer: bearerOf(c),
      old: body.old_password,
      next: body.password,
      by: principal,
    });
    return json({ ...toAccount(await ownAccount(store.db, principal)), tokens });
  });
}

/** 405 where the users of this control plane sign in elsewhere. */
function keptHere({ issuer }: ApiDeps): void {
  if (issuer?.changePassword !== undefined) return;
  throw new Problem(405, {
    error: "operation not allowed",
    reason: "another issuer keeps the accounts of this control plane",
  });
}

function bearerOf(c: ApiContext): string {
  return c.req.header("authorization")?.split(" ")[1] ?? "";
}
