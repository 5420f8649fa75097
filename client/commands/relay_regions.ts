/**
 * `nexd relay-region …`: the public relays that agents are told of.
 *
 * @module
 */
import { readCaFile } from "../../agent/platform/mod.ts";
import { usageError } from "../errors.ts";
import { parseJson } from "../output/mod.ts";
import type { Calls } from "../calls.ts";
import type { Flags } from "../values.ts";
import { type Command, present } from "./types.ts";
import { RELAY_REGION } from "./views.ts";

const PATH = "/api/relay-regions";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** By the words of the command. */
export const RELAY_REGION_COMMANDS: Record<string, Command> = {
  "relay-region list": async ({ calls }) => ({ text: await calls.get(PATH), view: RELAY_REGION }),
  "relay-region add": async ({ flags, calls }) => {
    const body = { hostname: flags.required("hostname"), ...await fields(flags) };
    return { text: await calls.post(PATH, body), view: RELAY_REGION };
  },
  "relay-region update": async ({ flags, calls }) => {
    const wanted = flags.required("relay-region");
    const change = present({ hostname: flags.filled("hostname"), ...await fields(flags) });
    if (Object.keys(change).length === 0) {
      throw usageError("nexd relay-region update needs something to change; add a flag");
    }
    const path = await pathOf(calls, wanted);
    return {
      text: await calls.patch(path, change),
      view: RELAY_REGION,
      done: "successfully updated",
    };
  },
  "relay-region drain": async ({ flags, calls }) => {
    const drained = !flags.on("undo");
    const path = await pathOf(calls, flags.required("relay-region"));
    return {
      text: await calls.patch(path, { drained }),
      view: RELAY_REGION,
      done: drained ? "drained: agents leave it now" : "in use again",
    };
  },
  "relay-region delete": async ({ flags, calls }) => ({
    text: await calls.delete(await pathOf(calls, flags.required("relay-region"))),
    view: RELAY_REGION,
    done: "successfully deleted",
  }),
};

async function fields(flags: Flags): Promise<Record<string, unknown>> {
  const ca = flags.text("relay-ca");
  return present({
    name: flags.filled("name"),
    region_id: flags.integer("region-id", 1, 65535),
    port: flags.integer("port", 1, 65535),
    stun_port: flags.integer("stun-port", 0, 65535),
    weight: flags.integer("weight", 0, 1000),
    ca: ca === undefined || ca === "" ? ca : (await readCaFile(ca)).join(""),
  });
}

/** The path of a relay that is named by its id, its name or its host. */
async function pathOf(calls: Calls, wanted: string): Promise<string> {
  if (UUID.test(wanted)) return `${PATH}/${wanted.toLowerCase()}`;
  const list = parseJson(await calls.get(PATH));
  const rows = (Array.isArray(list) ? list : []) as Record<string, unknown>[];
  const fits = (name: string) => rows.filter((row) => row[name] === wanted);
  const found = fits("name").length > 0 ? fits("name") : fits("hostname");
  const id = found[0]?.id;
  if (found.length === 1 && typeof id === "string" && UUID.test(id)) return `${PATH}/${id}`;
  const names = rows.map(({ name }) => name).filter((name) => typeof name === "string").join(", ");
  throw usageError(
    found.length > 1
      ? `--relay-region ${wanted} means ${found.length} of them; give the name or id of one`
      : `--relay-region ${wanted} is none of ${names}; see nexd relay-region list`,
  );
}
