/** Webhooks over REST: where events are sent, and what became of each. */

import { createRoute, z } from "@hono/zod-openapi";
import { DELIVERY_STATUSES } from "@/actors/desk/webhooks.ts";
import { EVENT_TYPES } from "@/lib/event_types.ts";
import { etagOf, ifMatch } from "./etag.ts";
import { answer, body, id, listOf, newRoutes, PageQuery, SIGNED_IN, Time } from "./openapi.ts";

const OVERLAP_HOURS_MAX = 7 * 24;
const WANTED = EVENT_TYPES.filter((type) => type !== "webhook.test");

const settings = {
  url: z.url({ protocol: /^https?$/ }).max(2_048).meta({ example: "https://example.com/hook" }),
  description: z.string().trim().max(200),
  events: z.array(z.enum(WANTED)).max(EVENT_TYPES.length).meta({
    description: "Only these events are sent; none named: all",
  }),
  mode: z.enum(["standard", "hex"]).meta({
    description: "`standard`: Standard Webhooks signatures (webhook-id, webhook-timestamp, " +
      "webhook-signature). `hex`: sorted compact JSON {data, event, timestamp}, with the hex " +
      "HMAC-SHA-256 of the body under the secret's text in X-Pabbly-Signature and the event's " +
      "type in X-Pabbly-Event; such an endpoint has one live secret at a time",
  }),
};

const NewEndpoint = z.strictObject({
  url: settings.url,
  description: settings.description.default(""),
  events: settings.events.default([]),
  mode: settings.mode.default("standard"),
  secret: z.string().max(128).optional().meta({
    description: "`whsec_` and the base64 of 24 to 64 bytes; made when absent",
  }),
});

const Change = z.strictObject({
  url: settings.url.optional(),
  description: settings.description.optional(),
  events: settings.events.optional(),
  mode: settings.mode.optional(),
  status: z.enum(["enabled", "disabled"]).optional().meta({
    description: "Disabling cancels what is waiting; enabling sends nothing by itself: replay",
  }),
});

const Endpoint = z.object({
  id: id("endpoint"),
  url: z.string(),
  description: z.string(),
  events: z.array(z.enum(EVENT_TYPES)),
  mode: z.enum(["standard", "hex"]),
  status: z.enum(["enabled", "disabled"]),
  disabledReason: z.string().nullable(),
  failingSince: Time.nullable().meta({
    description: "The first failure after the last success; after five days it is disabled",
  }),
  previousSecretUntil: Time.nullable().meta({
    description: "Until when the secret before the last rotation signs too",
  }),
  createdAt: Time,
  version: z.int(),
}).openapi("WebhookEndpoint");

const WithSecret = Endpoint.extend({
  secret: z.string().meta({ description: "Shown this once" }),
}).openapi("WebhookEndpointWithSecret");

const delivery = {
  id: id("delivery"),
  endpointId: id("endpoint"),
  eventId: id("event"),
  eventType: z.string(),
  status: z.enum(DELIVERY_STATUSES),
  attempts: z.int(),
  nextAt: Time.nullable(),
  createdAt: Time,
  finishedAt: Time.nullable(),
};
const Delivery = z.object(delivery).openapi("WebhookDelivery");
const DeliveryDetail = z.object({
  ...delivery,
  data: z.unknown(),
  history: z.array(z.object({
    number: z.int(),
    at: Time,
    durationMs: z.int(),
    requestHeaders: z.record(z.string(), z.string()),
    status: z.int().nullable(),
    answer: z.string().nullable().meta({ description: "Its first 1,024 bytes" }),
    error: z.string().nullable(),
  })),
}).openapi("WebhookDeliveryDetail");

const DeliveryQuery = PageQuery.extend({ status: z.enum(DELIVERY_STATUSES).optional() });
const Range = z.strictObject({ from: Time, to: Time });
const params = z.object({ id: id("endpoint") });
const deliveryParams = z.object({ id: id("endpoint"), deliveryId: id("delivery") });
const common = { tags: ["Webhooks"], security: SIGNED_IN };

const eventTypes = createRoute({
  ...common,
  method: "get",
  path: "/event-types",
  summary: "What can be sent",
  responses: { 200: answer(z.object({ items: z.array(z.string()) }), "The events there are") },
});

const list = createRoute({
  ...common,
  method: "get",
  path: "/",
  summary: "List endpoints, newest first",
  request: { query: PageQuery },
  responses: { 200: answer(listOf(Endpoint), "A page of endpoints") },
});

const add = createRoute({
  ...common,
  method: "post",
  path: "/",
  summary: "Add an endpoint",
  description: "Each event is sent at least once, with the same `webhook-id` every time. An " +
    "endpoint's events are first tried one after the other, in the order in which they happened; " +
    "one that fails is tried again beside those that follow it, ten times over three days, and " +
    "may thus come after them.",
  request: { body: body(NewEndpoint) },
  responses: { 201: answer(WithSecret, "The endpoint, and its secret") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/{id}",
  summary: "Read an endpoint",
  request: { params },
  responses: { 200: answer(Endpoint, "The endpoint") },
});

const patch = createRoute({
  ...common,
  method: "patch",
  path: "/{id}",
  summary: "Change, enable or disable an endpoint",
  request: { params, body: body(Change), headers: ifMatch },
  responses: { 200: answer(Endpoint, "The endpoint as it is now") },
});

const remove = createRoute({
  ...common,
  method: "delete",
  path: "/{id}",
  summary: "Remove an endpoint and its deliveries",
  request: { params },
  responses: { 204: { description: "It is gone" } },
});

const rotate = createRoute({
  ...common,
  method: "post",
  path: "/{id}/rotate-secret",
  summary: "Make a new secret; the one before signs too for a while",
  request: {
    params,
    body: body(z.strictObject({
      overlapHours: z.int().min(0).max(OVERLAP_HOURS_MAX).default(24),
    })),
  },
  responses: { 200: answer(WithSecret, "The endpoint, and its new secret") },
});

const test = createRoute({
  ...common,
  method: "post",
  path: "/{id}/test",
  summary: "Send webhook.test to it now, once",
  request: { params },
  responses: { 200: answer(DeliveryDetail, "What was sent, and what came back") },
});

const deliveries = createRoute({
  ...common,
  method: "get",
  path: "/{id}/deliveries",
  summary: "List its deliveries, newest event first",
  request: { params, query: DeliveryQuery },
  responses: { 200: answer(listOf(Delivery), "A page of deliveries") },
});

const getDelivery = createRoute({
  ...common,
  method: "get",
  path: "/{id}/deliveries/{deliveryId}",
  summary: "Read a delivery with its attempts",
  request: { params: deliveryParams },
  responses: { 200: answer(DeliveryDetail, "The delivery") },
});

const replayDelivery = createRoute({
  ...common,
  method: "post",
  path: "/{id}/deliveries/{deliveryId}/replay",
  summary: "Send it again",
  request: { params: deliveryParams },
  responses: { 202: answer(Delivery, "It waits for its next attempt") },
});

const replay = createRoute({
  ...common,
  method: "post",
  path: "/{id}/replay",
  summary: "Send all events of a time again: 10,000 at most, the oldest first",
  request: { params, body: body(Range) },
  responses: { 202: answer(z.object({ replayed: z.int() }), "So many wait to be sent") },
});

export const webhooks = newRoutes()
  .openapi(eventTypes, (c) => c.json({ items: WANTED }, 200))
  .openapi(
    list,
    async (c) => c.json(await c.var.desk("webhookEndpoints", c.req.valid("query")), 200),
  )
  .openapi(add, async (c) => {
    const added = await c.var.desk("addWebhookEndpoint", c.req.valid("json"));
    return c.json(added, 201, etagOf(added.version));
  })
  .openapi(get, async (c) => {
    const found = await c.var.desk("webhookEndpoint", c.req.valid("param").id);
    return c.json(found, 200, etagOf(found.version));
  })
  .openapi(patch, async (c) => {
    const expected = c.req.valid("header")["if-match"];
    const { id } = c.req.valid("param");
    const change = { ...c.req.valid("json"), id, expected };
    const changed = await c.var.desk("changeWebhookEndpoint", change);
    return c.json(changed, 200, etagOf(changed.version));
  })
  .openapi(remove, async (c) => {
    await c.var.desk("removeWebhookEndpoint", c.req.valid("param").id);
    return c.body(null, 204);
  })
  .openapi(rotate, async (c) => {
    const input = { ...c.req.valid("param"), ...c.req.valid("json") };
    const rotated = await c.var.desk("rotateWebhookSecret", input);
    return c.json(rotated, 200, etagOf(rotated.version));
  })
  .openapi(test, async (c) => {
    return c.json(await c.var.desk("testWebhookEndpoint", c.req.valid("param").id), 200);
  })
  .openapi(deliveries, async (c) => {
    const input = { ...c.req.valid("param"), ...c.req.valid("query") };
    return c.json(await c.var.desk("webhookDeliveries", input), 200);
  })
  .openapi(getDelivery, async (c) => {
    const { id: endpointId, deliveryId } = c.req.valid("param");
    return c.json(await c.var.desk("webhookDelivery", { endpointId, id: deliveryId }), 200);
  })
  .openapi(replayDelivery, async (c) => {
    const { id: endpointId, deliveryId } = c.req.valid("param");
    const replayed = await c.var.desk("replayWebhookDelivery", { endpointId, id: deliveryId });
    return c.json(replayed, 202);
  })
  .openapi(replay, async (c) => {
    const input = { ...c.req.valid("param"), ...c.req.valid("json") };
    return c.json(await c.var.desk("replayWebhookEvents", input), 202);
  });
