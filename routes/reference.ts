/** The API's description (OpenAPI 3.1), made of the routes, with what they all have in common said once. */

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Env } from "./env.ts";
import { STATUS_OF, TITLE_OF } from "./errors.ts";

/** What each group of routes is for, in the order of the reference. */
const TAGS: Readonly<Record<string, string>> = {
  Auth: "Signing up, logging in and out, sessions, passwords.",
  Tenant: "The company that everything else belongs to: its name and settings.",
  Members: "The people of the company, and their roles.",
  Invitations: "Letters to those who are to become members; a link works once, for seven days.",
  "API keys": "Keys for programs, with scopes and an end; each is shown once.",
  Agents:
    "What answers and places calls: graphs that are edited as a draft and published as versions.",
  "Phone numbers": "The company's numbers, and the agent that answers each.",
  Clips: "Recorded sentences, which agents play where their texts name them.",
  Calls: "Calls as they were held: placing one, and what was said and happened in it.",
  LiveKit: "Rooms of WebRTC and SIP: tokens, trunks, calls out of rooms, recordings.",
  Credentials: "Secrets of providers, sealed; read back masked.",
  Talk: "Talking to an agent in a browser: its page, and the tickets that let a page in.",
  Webhooks: "Where events of the company are delivered, and how each delivery went.",
  Jobs: "Work that is done later, and what has failed for good.",
  Audit: "Who did what, and proof that nobody has changed the record.",
  Privacy: "Export of all that the company has, and erasure of a person or a call.",
  House: "What this installation is: its health, what is configured, this description.",
};

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly [more: string]: unknown;
}

interface Operation {
  tags?: string[];
  operationId?: string;
  security?: unknown[];
  parameters?: unknown[];
  requestBody?: unknown;
  responses: Record<string, { headers?: Record<string, unknown>; [more: string]: unknown }>;
  [more: string]: unknown;
}

export interface ApiDocument {
  openapi: string;
  info: { title: string; version: string; description: string };
  servers: { url: string }[];
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: Record<string, Record<string, unknown>>;
}

const DESCRIPTION = `Agents that answer and place phone calls, over REST.

- **Who asks**: an API key or an access token, as \`Authorization: Bearer …\`. A person of several
  companies chooses one with \`X-Tenant-ID\`.
- **What is wrong** is said as \`application/problem+json\`: \`code\` for programs, \`detail\` for people,
  \`errors\` with every wrong field, \`requestId\` for whoever helps you. Fields that are not known are
  refused by their name. What is another company's is \`not_found\`, as if it were not there.
- **Lists** come in pages: \`next\` of one is \`cursor\` of the one after; on the last it is null.
- **Repeating a POST** is safe with an \`Idempotency-Key\`: within 24 hours the same key with the same
  body is answered the same and done once.
- **Two people editing**: send the \`ETag\` that you read as \`If-Match\`; a change in between is a 412.
- **Bodies** are JSON in UTF-8, uncompressed, of 1 MiB, 64 levels and 10,000 values at most.`;

/** What the document says that no single route does. */
const COMMON: Record<string, Record<string, unknown>> = {
  securitySchemes: {
    bearer: { type: "http", scheme: "bearer", description: "An API key or an access token" },
  },
  parameters: {
    RequestId: header("X-Request-Id", "Comes back in the answer and stands in our logs", {
      pattern: "^[\\w.-]{1,64}$",
    }),
    TenantId: header("X-Tenant-ID", "The company, for a person of several; else the primary one", {
      maxLength: 64,
    }),
    IdempotencyKey: header(
      "Idempotency-Key",
      "Does it once, however often it is sent in 24 hours",
      {
        minLength: 1,
        maxLength: 255,
        pattern: "^[ -~]+$",
      },
    ),
  },
  headers: {
    RequestId: { description: "Names this request", schema: { type: "string" } },
    ETag: { description: "The version that was read: for `If-Match`", schema: { type: "string" } },
    RetryAfter: { description: "Seconds until it may come again", schema: { type: "integer" } },
  },
  schemas: {
    Problem: {
      type: "object",
      required: ["type", "title", "status", "code", "requestId"],
      properties: {
        type: { type: "string", const: "about:blank" },
        title: { type: "string", description: "The status in words" },
        status: { type: "integer" },
        code: { type: "string", enum: Object.keys(STATUS_OF) },
        detail: { type: "string", description: "What is wrong, for people" },
        field: { type: "string", description: "The first field that is wrong, or the setting" },
        errors: { type: "array", maxItems: 20, items: { $ref: "#/components/schemas/FieldError" } },
        requestId: { type: "string" },
      },
    },
    FieldError: {
      type: "object",
      required: ["in", "field", "message"],
      properties: {
        in: { type: "string", enum: ["body", "query", "path", "header"] },
        field: { type: "string", description: "As it was written: `turns[0].text`, `If-Match`" },
        message: { type: "string" },
      },
    },
  },
};

/** The document of everything that is registered at the app by now. */
export function describeApi(
  app: OpenAPIHono<Env>,
  { version, publicUrl }: { readonly version: string; readonly publicUrl: string },
): ApiDocument {
  const made = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "Ringmaster", version, description: DESCRIPTION },
    servers: [{ url: publicUrl }],
  });
  // The generator's types are wider than what it makes; a JSON copy is plain, and ours to change.
  const document = structuredClone(made) as unknown as ApiDocument;
  const used = new Set<string>();
  for (const [path, item] of Object.entries(document.paths)) {
    const isEdited = Object.values(item).some(({ parameters }) =>
      hasHeader(parameters, "If-Match")
    );
    for (const [method, operation] of Object.entries(item)) {
      operation.tags?.forEach((tag) => used.add(tag));
      complete(operation, { method, path, isEdited });
    }
  }
  const tags = Object.entries(TAGS).map(([name, description]) => ({ name, description }));
  document.tags = tags.filter(({ name }) => used.has(name));
  document.components = { ...document.components };
  for (const [kind, parts] of Object.entries(COMMON)) {
    document.components[kind] = { ...document.components[kind], ...parts };
  }
  document.components.responses = { ...document.components.responses, ...problems() };
  return document;
}

function header(name: string, description: string, schema: Record<string, unknown>): Parameter {
  return { name, in: "header", description, schema: { type: "string", ...schema } };
}

function hasHeader(parameters: readonly unknown[] | undefined, name: string): boolean {
  return (parameters ?? []).some((it) => {
    const { in: where, name: given } = Object(it);
    return where === "header" && String(given).toLowerCase() === name.toLowerCase();
  });
}

/** One answer a status, shared by all routes. */
function problems(): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(TITLE_OF).map(([status, description]) => [`Problem${status}`, {
      description,
      headers: {
        "X-Request-Id": { $ref: "#/components/headers/RequestId" },
        ...(/^(409|429|503)$/.test(status)
          ? { "Retry-After": { $ref: "#/components/headers/RetryAfter" } }
          : {}),
      },
      content: {
        "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
      },
    }]),
  );
}

function complete(
  operation: Operation,
  { method, path, isEdited }: { method: string; path: string; isEdited: boolean },
): void {
  const isSecured = (operation.security?.length ?? 0) > 0;
  const takesKey = isSecured && method === "post";
  const takesVersion = hasHeader(operation.parameters, "If-Match");
  operation.operationId ??= operationId(method, path);
  operation.parameters = [
    ...(operation.parameters ?? []).map(named),
    ...["RequestId", ...isSecured ? ["TenantId"] : [], ...takesKey ? ["IdempotencyKey"] : []].map(
      (name) => ({ $ref: `#/components/parameters/${name}` }),
    ),
  ];
  for (const [status, answer] of Object.entries(operation.responses)) {
    if (!status.startsWith("2")) continue;
    answer.headers = {
      ...answer.headers,
      "X-Request-Id": { $ref: "#/components/headers/RequestId" },
      ...(isEdited && status !== "204" ? { ETag: { $ref: "#/components/headers/ETag" } } : {}),
    };
  }
  const isChange = method !== "get";
  const statuses = [
    ...[400, 421, 429, 500, 503, 504],
    ...isSecured || isChange ? [401, 403] : [],
    ...isChange || path.includes("{") ? [404] : [],
    ...isChange ? [409, 410, 413, 415, 502] : [],
    ...takesVersion ? [412] : [],
    ...takesKey ? [422] : [],
  ];
  for (const status of statuses) {
    operation.responses[status] ??= { $ref: `#/components/responses/Problem${status}` };
  }
}

/** zod has header names in lower case. */
function named(parameter: unknown): unknown {
  const { in: where, name } = Object(parameter);
  if (where !== "header" || typeof name !== "string") return parameter;
  const title = name.replaceAll(/(?<![a-z])[a-z]/g, (letter) => letter.toUpperCase());
  return { ...Object(parameter), name: title };
}

/**
 * A name for generated clients, where the route gives none: `GET /calls` → `listCalls`, `GET
 * /calls/{id}` → `getCall`, `GET /calls/{id}/events` → `listCallEvents`, `POST /calls` → `createCall`,
 * `POST /agents/{id}/publish` → `publishAgent`.
 */
function operationId(method: string, path: string): string {
  const parts = path.replace(/^\/api\/v1\//, "").split("/").filter(Boolean);
  const isOne = parts.at(-1)?.startsWith("{") ?? false;
  const nouns = parts.map((part, at) =>
    parts[at + 1]?.startsWith("{") ? part.replace(/ies$/, "y").replace(/s$/, "") : part
  ).filter((part) => !part.startsWith("{"));
  const last = nouns.at(-1) ?? "";
  const isMany = !isOne && last.endsWith("s");
  const verb = { post: "create", put: "replace", patch: "change", delete: "delete" }[method] ??
    (isMany ? "list" : "get");
  if (method === "post" && !isMany && nouns.length > 1) {
    return camel([last, ...nouns.slice(0, -1)]);
  }
  const made = method === "post" ? last.replace(/ies$/, "y").replace(/s$/, "") : last;
  return camel([verb, ...nouns.slice(0, -1), made]);
}

function camel(parts: readonly string[]): string {
  const words = parts.flatMap((part) => part.split(/[^A-Za-z0-9]+/)).filter(Boolean);
  return words.map((word, at) => at === 0 ? word : `${word[0]?.toUpperCase()}${word.slice(1)}`)
    .join("");
}
