/**
 * The API's description, made of the routes themselves: for programs, and as a page to read.
 *
 * @module
 */
import { type App, JSON_TYPE } from "../../http/mod.ts";
import { openApiDocument } from "./document.ts";

import { openApiPage, PAGE_POLICY } from "./page.ts";

export type { Document, Operation, Schema } from "./document.ts";

/** Adds the addresses of the description. To be called when all other routes are there. */
export function openApiRoutes(app: App): void {
  let made: { document: string; page: string } | undefined;
  const description = () => {
    if (made) return made;
    const document = openApiDocument(app);
    return made = { document: JSON.stringify(document), page: openApiPage(document) };
  };
  const page = () =>
    new Response(description().page, {
      headers: {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": PAGE_POLICY,
      },
    });
  app.get(
    "/openapi/doc.json",
    () => new Response(description().document, { headers: { "content-type": JSON_TYPE } }),
  );
  app.get("/openapi/", page);
  app.get("/openapi/index.html", page);
  app.get("/openapi", (c) => c.redirect("/openapi/", 308));
}
