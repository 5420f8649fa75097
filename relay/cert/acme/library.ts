/**
 * The ACME library, loaded when it is needed and led our way.
 *
 * @module
 */

import process from "node:process";
import { Transport } from "./transport.ts";

type Library = typeof import("acme-client");

let loading: Promise<Library> | undefined;

/** Loads the library. All its requests go by {@linkcode Transport.current}. */
export function loadLibrary(): Promise<Library> {
  return loading ??= load();
}

async function load(): Promise<Library> {
  // Some of its dependencies list the whole environment when they load, which a relay started with
  // the permissions it needs may not. They get an empty one.
  const environment = process.env;
  process.env = {};
  try {
    const library = await import("acme-client");
    // One adapter for the whole process. It settles every request itself: the library's own repeats
    // would sleep for as long as the CA says, past the limit of the attempt.
    library.axios.defaults.adapter = async (config) => {
      const { url = "", method = "get" } = config;
      const body = typeof config.data === "string" ? config.data : undefined;
      const answer = await Transport.current.request(method, url, body);
      return { ...answer, data: answer.body, statusText: "", config };
    };
    return library;
  } finally {
    process.env = environment;
  }
}
