/**
 * A person with a browser on a lab's host: opens the link that a host shows, fills in the form that the
 * page has, presses a button, and prints the title of what comes.
 *
 * `sign_in_person.ts LINK CA USERNAME PASSWORD BUTTON`
 */

const [link, ca, username, password, button] = Deno.args;
const client = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(ca!)] });

const page = await (await fetch(link!, { client })).text();
const attribute = (tag: string, name: string) => tag.match(new RegExp(` ${name}="([^"]*)"`))?.[1];
const form = page.match(/<form [^>]*>/)![0];
const fields = new URLSearchParams();
for (const [input] of page.matchAll(/<input [^>]*>/g)) {
  fields.set(attribute(input, "name")!, attribute(input, "value") ?? "");
}
if (!fields.has("username") || !fields.has("password")) throw new Error("the form has no sign-in");
fields.set("username", username!);
fields.set("password", password!);
const pressed = [...page.matchAll(/<button ([^>]*)>([^<]*)</g)].find(([, , text]) =>
  text === button
);
fields.set(attribute(` ${pressed![1]}`, "name")!, attribute(` ${pressed![1]}`, "value")!);
const target = new URL(attribute(form, "action")!, link);
const answer = await fetch(target, {
  method: attribute(form, "method")!,
  body: fields,
  headers: { origin: target.origin, "sec-fetch-site": "same-origin" },
  client,
});
const title = (await answer.text()).match(/<h1>([^<]*)/)![1];
Deno.stdout.writeSync(new TextEncoder().encode(`${answer.status} ${title}\n`));
