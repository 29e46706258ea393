/** Credentials over REST: a company's own accounts of providers. */

import { createRoute, z } from "@hono/zod-openapi";
import { CREDENTIAL_PROVIDERS } from "@/lib/credentials.ts";
import { SIP_HOST } from "@/lib/config.ts";
import { etagOf, ifMatch } from "./etag.ts";
import { answer, body, id, listOf, newRoutes, PageQuery, SIGNED_IN, Time } from "./openapi.ts";

const Key = z.string().min(8).max(256);
const Values = {
  twilio: z.strictObject({
    accountSid: z.string().regex(/^AC[0-9a-f]{32}$/, "Not the SID of an account"),
    authToken: Key,
  }),
  deepgram: z.strictObject({ apiKey: Key }),
  openai: z.strictObject({ apiKey: Key }),
  anthropic: z.strictObject({ apiKey: Key }),
  elevenlabs: z.strictObject({
    apiKey: Key,
    voice: z.string().regex(/^[A-Za-z0-9]{1,64}$/, "Not the id of a voice").optional(),
  }),
  livekit: z.strictObject({
    url: z.string().max(300).meta({ example: "wss://project.livekit.cloud" }),
    apiKey: z.string().min(3).max(64),
    apiSecret: Key,
    sipHost: z.string().max(300).regex(SIP_HOST, "Not a host, as project.sip.livekit.cloud")
      .optional(),
    sipUsername: z.string().min(1).max(64).optional(),
    sipPassword: Key.optional(),
  }),
};

const more = {
  name: z.string().trim().min(1).max(64).optional().meta({
    description: "Calls are held with the one named `default`, which is the name when absent",
  }),
  check: z.boolean().optional().meta({
    description: "False: kept without asking the provider about it first",
  }),
};

/** Masked text is shorter than a key: what is written back may be of any length. */
const Masked = z.string().min(1).max(256);
const Input = z.discriminatedUnion("provider", [
  z.strictObject({ provider: z.literal("twilio"), values: Values.twilio, ...more }),
  z.strictObject({ provider: z.literal("deepgram"), values: Values.deepgram, ...more }),
  z.strictObject({ provider: z.literal("openai"), values: Values.openai, ...more }),
  z.strictObject({ provider: z.literal("anthropic"), values: Values.anthropic, ...more }),
  z.strictObject({ provider: z.literal("elevenlabs"), values: Values.elevenlabs, ...more }),
  z.strictObject({ provider: z.literal("livekit"), values: Values.livekit, ...more }),
]);
const Replacement = z.discriminatedUnion("provider", [
  z.strictObject({
    provider: z.literal("twilio"),
    values: Values.twilio.extend({ authToken: Masked }),
    ...more,
  }),
  z.strictObject({
    provider: z.literal("deepgram"),
    values: Values.deepgram.extend({ apiKey: Masked }),
    ...more,
  }),
  z.strictObject({
    provider: z.literal("openai"),
    values: Values.openai.extend({ apiKey: Masked }),
    ...more,
  }),
  z.strictObject({
    provider: z.literal("anthropic"),
    values: Values.anthropic.extend({ apiKey: Masked }),
    ...more,
  }),
  z.strictObject({
    provider: z.literal("elevenlabs"),
    values: Values.elevenlabs.extend({ apiKey: Masked }),
    ...more,
  }),
  z.strictObject({
    provider: z.literal("livekit"),
    values: Values.livekit.extend({ apiSecret: Masked, sipPassword: Masked.optional() }),
    ...more,
  }),
]);

const Credential = z.object({
  id: id("credential"),
  provider: z.enum(CREDENTIAL_PROVIDERS),
  name: z.string(),
  values: z.record(z.string(), z.string()).meta({
    description: "Secrets are masked",
    example: { apiKey: "sk-…f3a9" },
  }),
  status: z.enum(["unchecked", "valid", "refused"]).meta({
    description: "What the provider said last; unchecked: nothing yet of these values",
  }),
  checkedAt: Time.nullable(),
  createdAt: Time,
  updatedAt: Time,
  version: z.int(),
}).openapi("Credential");

const params = z.object({ id: id("credential") });
const common = { tags: ["Credentials"], security: SIGNED_IN };

const list = createRoute({
  ...common,
  method: "get",
  path: "/",
  summary: "List credentials, newest first",
  request: { query: PageQuery },
  responses: { 200: answer(listOf(Credential), "A page of credentials") },
});

const create = createRoute({
  ...common,
  method: "post",
  path: "/",
  summary: "Bring an account of a provider",
  description: "The provider is asked first: what it refuses is a 400 and is not kept.",
  request: { body: body(Input) },
  responses: { 201: answer(Credential, "The credential, its secrets masked") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/{id}",
  summary: "Read a credential, its secrets masked",
  request: { params },
  responses: { 200: answer(Credential, "The credential") },
});

const replace = createRoute({
  ...common,
  method: "put",
  path: "/{id}",
  summary: "Replace a credential",
  description: "A secret that is its masked text keeps what is stored.",
  request: { params, body: body(Replacement), headers: ifMatch },
  responses: { 200: answer(Credential, "The credential as it is now") },
});

const remove = createRoute({
  ...common,
  method: "delete",
  path: "/{id}",
  summary: "Delete a credential",
  request: { params },
  responses: { 204: { description: "It is gone; calls are held with the house's account" } },
});

const check = createRoute({
  ...common,
  method: "post",
  path: "/{id}/check",
  summary: "Ask the provider about a credential",
  request: { params },
  responses: { 200: answer(Credential, "The credential, with what the provider said") },
});

export const credentials = newRoutes()
  .openapi(list, async (c) => c.json(await c.var.desk("credentials", c.req.valid("query")), 200))
  .openapi(create, async (c) => {
    const made = await c.var.desk("createCredential", c.req.valid("json"));
    return c.json(made, 201, etagOf(made.version));
  })
  .openapi(get, async (c) => {
    const found = await c.var.desk("credential", c.req.valid("param").id);
    return c.json(found, 200, etagOf(found.version));
  })
  .openapi(replace, async (c) => {
    const expected = c.req.valid("header")["if-match"];
    const change = { ...c.req.valid("json"), id: c.req.valid("param").id, expected };
    const changed = await c.var.desk("replaceCredential", change);
    return c.json(changed, 200, etagOf(changed.version));
  })
  .openapi(remove, async (c) => {
    await c.var.desk("deleteCredential", c.req.valid("param").id);
    return c.body(null, 204);
  })
  .openapi(check, async (c) => {
    const checked = await c.var.desk("checkCredential", c.req.valid("param").id);
    return c.json(checked, 200, etagOf(checked.version));
  });
