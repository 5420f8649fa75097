/** The files of the dashboard, part of the program: they work without a network and without a disk. */
import { createHash } from "node:crypto";
import script from "./assets/app.js" with { type: "text" };
import icon from "./assets/icon.svg" with { type: "text" };
import page from "./assets/index.html" with { type: "text" };
import style from "./assets/style.css" with { type: "text" };

/** One file. */
export interface Asset {
  /** Below the dashboard's path; `""` is the page. */
  name: string;
  /** Its media type. */
  type: string;
  body: string;
  /** The name has the hash of the body in it. */
  immutable: boolean;
}

/**
 * `Content-Security-Policy` of the page: what comes from this origin as a file, the API, nothing else.
 * Text from elsewhere cannot become markup: the browser refuses to assign a string as such.
 */
export const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const digest = (body: string, encoding: "base64" | "hex") =>
  createHash("sha384").update(body).digest(encoding);

function hashed(stem: string, ending: string, type: string, body: string): Asset {
  const name = `${stem}-${digest(body, "hex").slice(0, 16)}.${ending}`;
  return { name, type, body, immutable: true };
}

const FILES = {
  APP: hashed("app", "js", "text/javascript; charset=utf-8", script),
  STYLE: hashed("style", "css", "text/css; charset=utf-8", style),
  ICON: hashed("icon", "svg", "image/svg+xml", icon),
};

/** The page names its files by hash, and the browser checks what it gets (subresource integrity). */
const PAGE = page.replaceAll(
  /%(APP|STYLE|ICON)(_HASH)?%/g,
  (_whole, file: keyof typeof FILES, hash?: string) => {
    const { name, body } = FILES[file];
    return hash === undefined ? name : `sha384-${digest(body, "base64")}`;
  },
);

/** All of them. */
export const ASSETS: readonly Asset[] = [
  { name: "", type: "text/html; charset=utf-8", body: PAGE, immutable: false },
  ...Object.values(FILES),
];
