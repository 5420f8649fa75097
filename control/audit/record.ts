import type { Origin, Principal } from "../auth/mod.ts";
import type { AuditRow, Note, Write } from "../store/mod.ts";
import { type Changes, clip } from "./difference.ts";

/** Who did something, apart from the callers of the API. */
export interface Actor {
  kind: AuditRow["actor_kind"];
  id: string;
  /** Undefined for a user's that is looked up. */
  name: string | undefined;
  from?: Origin | undefined;
}

/** This program by itself. */
export const SYSTEM: Actor = { kind: "system", id: "", name: "nexd" };

/** Something that was done. */
export interface Deed {
  /** Resource and verb, which stay what they are: `vpc.create`. */
  action: string;
  /** Whose owners may read of it; `""`: of the whole service. */
  organizationId: string;
  /** The resource's id and name, as they are now. */
  id: string;
  name: string;
  /** Of safe fields; see `difference`. */
  changes?: Changes;
  outcome?: AuditRow["outcome"];
}

/** Longest name and id, in UTF-16 units. */
const MAX_NAME = 256;

/** Adds a row to the audit log, in the transaction of what it tells of. */
export function record(write: Write, by: Principal | Actor, deed: Deed): void {
  write.note(noteOf("ownerId" in by ? actorOf(by) : by, deed));
}

/** The row, before it has a number and a time. */
export function noteOf({ kind, id, name, from }: Actor, deed: Deed): Note {
  return {
    request_id: from?.requestId ?? "",
    actor_kind: kind,
    actor_id: clip(id, MAX_NAME),
    actor_name: name === undefined ? undefined : clip(name, MAX_NAME),
    organization_id: deed.organizationId,
    action: deed.action,
    resource_kind: deed.action.split(".")[0]!,
    resource_id: clip(deed.id, MAX_NAME),
    resource_name: clip(deed.name, MAX_NAME),
    address: clip(from?.address ?? "", MAX_NAME),
    outcome: deed.outcome ?? "done",
    changes_json: JSON.stringify(deed.changes ?? {}),
  };
}

function actorOf(principal: Principal): Actor {
  const { kind, from } = principal;
  switch (kind) {
    case "device":
      return { kind, id: principal.device.id, name: principal.device.hostname, from };
    case "reg-key":
      return { kind, id: principal.regKey.id, name: principal.regKey.description, from };
    case "user":
      return { kind, id: principal.ownerId, name: undefined, from };
  }
}
