/** What `--home` may say. */
import { RelayError } from "../../errors.ts";

/** What is at `/` and every unknown path: the relay's page, nothing, or another site. */
export type Home = { page: true } | { blank: true } | { url: string };

/**
 * @param text empty, `blank`, or an `http` or `https` URL
 * @throws RelayError (exit code 2) for anything else
 */
export function parseHome(text: string): Home {
  if (text === "") return { page: true };
  if (text === "blank") return { blank: true };
  if (/^https?:\/\/[^\s/]/.test(text) && URL.canParse(text)) return { url: new URL(text).href };
  throw new RelayError(`Cannot use --home ${text}: give blank or an http or https URL`, 2);
}
