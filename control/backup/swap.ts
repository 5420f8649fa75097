/**
 * Puts a restored state in the place of another, so that after a kill at any moment there is either.
 *
 * The new state is made in a folder of the state directory. Renaming that folder is the moment from
 * which on it counts: from then on its files are moved to their places, and whoever opens the
 * directory next does what is left of it first.
 */

/** The new state while it is made, and once it counts; and where the old one goes. */
const DRAFT = ".restore", COUNTS = ".restored", OLD = "before-restore";

/** Folders that are no part of a state. */
export const STAGING: readonly string[] = [DRAFT, COUNTS, OLD];

/** Files that belong to a database as long as it is open, or was not closed. */
const WITH_DATABASE = ["control.db-wal", "control.db-shm", "control.db-journal"];

/** An empty folder for a new state; what an interrupted restore has left in it goes. */
export async function makeDraft(dir: string): Promise<string> {
  const draft = `${dir}/${DRAFT}`;
  await Deno.remove(draft, { recursive: true }).catch(ignoreAbsent);
  await Deno.mkdir(draft, { mode: 0o700 });
  return draft;
}

/** Makes the draft count, and keeps what was there before in `before-restore`. */
export async function replaceState(dir: string): Promise<void> {
  await Deno.remove(`${dir}/${OLD}`, { recursive: true }).catch(ignoreAbsent);
  await Deno.rename(`${dir}/${DRAFT}`, `${dir}/${COUNTS}`);
  await finishReplacing(dir);
}

/** Moves what counts to its place; nothing happens when there is none. */
export async function finishReplacing(dir: string): Promise<void> {
  let names: string[];
  try {
    names = [...Deno.readDirSync(`${dir}/${COUNTS}`)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  await Deno.mkdir(`${dir}/${OLD}`, { recursive: true, mode: 0o700 });
  for (const name of names) {
    // As long as a name is among the new ones, what has it in the directory is the old one. A log that
    // is left beside a database would be taken for a part of it, so it goes first.
    for (const old of [...(name === "control.db" ? WITH_DATABASE : []), name]) {
      await Deno.rename(`${dir}/${old}`, `${dir}/${OLD}/${old}`).catch(ignoreAbsent);
    }
    await Deno.rename(`${dir}/${COUNTS}/${name}`, `${dir}/${name}`);
  }
  await Deno.remove(`${dir}/${COUNTS}`);
  await Deno.remove(`${dir}/${OLD}`).catch(() => {}); // where there was nothing before
}

function ignoreAbsent(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
