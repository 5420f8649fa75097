/**
 * The page on which a person lets a host in, and what all pages share: forms of plain HTML that work
 * without scripts, with a keyboard and with a screen reader.
 */
import { createHash } from "node:crypto";
import type { DeviceCodeRow } from "../store/mod.ts";

/** What the form shows. */
export interface FormView {
  /** As the person or the link gave it. */
  code: string;
  username?: string;
  /** The host that waits under the code. */
  asking?: Pick<DeviceCodeRow, "device_name" | "address"> | undefined;
  /** What was wrong with the last try. */
  error?: string;
}

const STYLE = `
:root{color-scheme:light dark;font:1.05rem/1.5 system-ui,sans-serif}
body{margin:0;display:grid;place-items:center;min-height:100vh}
main{box-sizing:border-box;width:100%;max-width:26rem;padding:1.5rem}
h1{font-size:1.4rem;margin:0 0 1rem}
label{display:block;margin-top:1rem;font-weight:600}
input{box-sizing:border-box;width:100%;font:inherit;padding:.5rem;margin-top:.25rem}
#user_code{letter-spacing:.15em;text-transform:uppercase}
.actions{display:flex;gap:.75rem;margin-top:1.5rem}
button{font:inherit;padding:.5rem 1rem}
.error{border-left:.3rem solid #b00020;padding:.25rem .75rem;margin:1rem 0}
`;

/**
 * `Content-Security-Policy` of a page: its own style, forms to itself, nothing else.
 *
 * @param leads origins that the answers to its form may send the browser to
 */
export function pagePolicy(...leads: string[]): string {
  return [
    "default-src 'none'",
    `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
    ["form-action 'self'", ...leads].join(" "),
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

/** The form. */
export function formPage({ code, username = "", asking, error }: FormView): string {
  const who = asking === undefined
    ? "<p>A host that asks to join shows a code. Enter it here, and sign in to let the host in.</p>"
    : `<p>${
      asking.device_name === ""
        ? "A host"
        : `A host that calls itself <strong>${escape(asking.device_name)}</strong>`
    } at the address <strong>${escape(asking.address)}</strong> asks to join. Let it in only if ` +
      `you started it yourself and it shows this same code.</p>`;
  const alert = error === undefined
    ? ""
    : `<p class="error" id="error" role="alert">${escape(error)}</p>`;
  const described = error === undefined ? "" : ' aria-describedby="error"';
  const focus = (here: boolean) => here ? " autofocus" : "";
  const [noCode, noName] = [code === "", username === ""];
  return page(
    "Let a host in",
    `${who}${alert}
<form method="post" action="/device">
<label for="user_code">Code</label>
<input id="user_code" name="user_code" required maxlength="20" autocomplete="off" spellcheck="false" value="${
      escape(code)
    }"${described}${focus(noCode)}>
<label for="username">User name</label>
<input id="username" name="username" required maxlength="255" autocomplete="username" autocapitalize="none" spellcheck="false" value="${
      escape(username)
    }"${focus(!noCode && noName)}>
<label for="password">Password</label>
<input id="password" name="password" type="password" required maxlength="1024" autocomplete="current-password"${
      focus(!noCode && !noName)
    }>
<div class="actions">
<button name="action" value="allow">Let it in</button>
<button name="action" value="deny">Turn it away</button>
</div>
</form>`,
  );
}

/** What was decided. */
export function donePage(title: string, sentence: string): string {
  return page(title, `<p role="status">${escape(sentence)}</p>`);
}

/** A whole page; `content` is markup. */
export function page(title: string, content: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)} - nexd</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escape(title)}</h1>
${content}
</main>
</body>
</html>
`;
}

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text as markup that shows it. */
export function escape(text: string): string {
  return text.replace(/[&<>"']/g, (c) => ENTITIES[c]!);
}
