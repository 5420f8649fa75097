/** Answers that are no success. */

/** An answer that is no success; the message is for people. */
export class Refused extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** What an error answer says, as one sentence. */
export async function reason(response: Response): Promise<string> {
  const text = await response.text().catch(() => "");
  if (response.status === 409) return "there is one of that name, or at that place, already";
  try {
    const { error, error_description, field, reason } = JSON.parse(text) as Record<string, string>;
    const said = [error_description ?? error, field, reason].filter((part) => part);
    if (said.length > 0) return said.join(": ").slice(0, 300);
  } catch { /* not every refusal has a body */ }
  if (response.status === 403) return "you may not do this";
  return `the server answered with status ${response.status}`;
}
