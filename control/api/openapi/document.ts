import type { App } from "../../http/mod.ts";
import { addCommonAnswers, registerCommonAnswers } from "./common.ts";

/** What of an OpenAPI document the page reads. */
export interface Document {
  info: { title: string; version: string; description?: string };
  paths: Record<string, Record<string, Operation>>;
  components?: { schemas?: Record<string, Schema> };
}

export interface Operation {
  summary?: string;
  tags?: string[];
  parameters?: { name: string; in: string; required?: boolean; schema?: Schema }[];
  requestBody?: { content?: Record<string, { schema?: Schema }> };
  responses?: Record<
    string,
    { $ref?: string; description?: string; content?: Record<string, { schema?: Schema }> }
  >;
  security?: unknown[];
}

export interface Schema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  required?: string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  maxLength?: number;
  maxItems?: number;
}

const DESCRIPTION =
  `The API of a control plane. A user's access token, a registration key (\`RK:…\`) ` +
  `or a device's token (\`DT:…\`) goes into the header \`Authorization: Bearer …\`. Lists with the ` +
  `parameter \`range\` tell their whole length in \`X-Total-Count\`. Besides the answers that are ` +
  `shown with each route there are 401 without a usable credential, 403 for one that may not, 400 for ` +
  `what cannot be read, 408 and 413 for a body that takes above 10 s or 1 MiB, 431 for more than ` +
  `16 KiB before the body, 429 with \`Retry-After\` for too many requests, and 503 with the same ` +
  `while the database cannot be used.`;

/** The document of all routes that the application has by now. */
export function openApiDocument(app: App): Document {
  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
  });
  registerCommonAnswers(app);
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "nexd control plane", version: "1", description: DESCRIPTION },
  }) as unknown as Document;
  for (const [path, operations] of Object.entries(document.paths)) {
    const [, first = "", second] = path.split("/");
    for (const operation of Object.values(operations)) {
      operation.tags = [first === "api" ? second! : first];
      const secured = first === "api";
      if (secured) operation.security = [{ bearer: [] }];
      addCommonAnswers(operation, secured);
    }
  }
  return document;
}
