/** Agents over REST: draw one, check it, publish it, and go back to an earlier version. */

import { createRoute, z } from "@hono/zod-openapi";
import { NAME_MAX } from "@/actors/desk/agents.ts";
import { exampleGraph } from "@/lib/workflow/demo.ts";
import { GraphJson } from "@/lib/workflow/graph.ts";
import { etagOf, ifMatch } from "./etag.ts";
import { answer, body, id, listOf, newRoutes, PageQuery } from "./openapi.ts";
import { SIGNED_IN, Time } from "./openapi.ts";

const Graph = GraphJson.meta({
  id: "AgentGraph",
  description:
    "What the agent says, what it finds out at each node, and the ways its model may take",
  example: exampleGraph,
});

/** Kept as it is sent, so that half a drawing can be saved; what is wrong with it, `validate` tells. */
const Draft = z.record(z.string(), z.unknown()).meta({
  description: "A graph as AgentGraph has it. It need not be whole before it is published",
  example: exampleGraph,
});

const Name = z.string().trim().min(1).max(NAME_MAX);

const summary = {
  id: id("agent"),
  name: z.string(),
  publishedVersion: z.int().nullable(),
  hasDraft: z.boolean(),
  isTalkPublic: z.boolean().meta({
    description: "Whether anyone may talk to it from its page, without a ticket",
  }),
  revision: z.int(),
  createdAt: Time,
  updatedAt: Time,
  archivedAt: Time.nullable(),
};
const Summary = z.object(summary).openapi("AgentSummary");
const Agent = z.object({ ...summary, draft: Draft.nullable() }).openapi("Agent");

const versionSummary = { number: z.int(), createdAt: Time, isPublished: z.boolean() };
const VersionSummary = z.object(versionSummary).openapi("AgentVersionSummary");
const Version = z.object({ agentId: id("agent"), ...versionSummary, graph: Graph })
  .openapi("AgentVersion");

const Check = z.object({
  isValid: z.boolean(),
  faults: z.array(z.object({
    path: z.string().meta({ example: "nodes[1].variables[0].name" }),
    nodeId: z.string().nullable(),
    message: z.string(),
  })),
}).openapi("AgentCheck");

const NewAgent = z.strictObject({ name: Name, graph: Draft.nullable().optional() });
const Change = z.strictObject({
  name: Name.optional(),
  draft: Draft.nullable().optional(),
  isTalkPublic: z.boolean().optional(),
});
const Copy = z.strictObject({ name: Name.optional() });
const AgentsQuery = PageQuery.extend({
  archived: z.enum(["true", "false"]).default("false").transform((text) => text === "true"),
});
const params = z.object({ id: id("agent") });
const versionParams = z.object({
  id: id("agent"),
  number: z.string().max(10).meta({ example: "1" }).transform((text) =>
    /^[1-9]\d{0,8}$/.test(text) ? Number(text) : 0 // what is no number names nothing
  ),
});
const common = { tags: ["Agents"], security: SIGNED_IN };

const list = createRoute({
  ...common,
  method: "get",
  path: "/",
  summary: "List agents, newest first",
  request: { query: AgentsQuery },
  responses: { 200: answer(listOf(Summary), "A page of agents") },
});

const create = createRoute({
  ...common,
  method: "post",
  path: "/",
  summary: "Create an agent",
  description: "It answers calls once a version is published and a phone number is assigned to it.",
  request: { body: body(NewAgent) },
  responses: { 201: answer(Agent, "The agent, with the graph as its draft") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/{id}",
  summary: "Read an agent and its draft",
  request: { params },
  responses: { 200: answer(Agent, "The agent") },
});

const patch = createRoute({
  ...common,
  method: "patch",
  path: "/{id}",
  summary: "Change an agent's name or draft, or who may talk to it",
  request: { params, body: body(Change), headers: ifMatch },
  responses: { 200: answer(Agent, "The agent as it is now") },
});

const archive = createRoute({
  ...common,
  method: "delete",
  path: "/{id}",
  summary: "Archive an agent",
  description:
    "It answers no more calls. Its versions and calls stay. An agent that phone numbers are assigned to is refused.",
  request: { params, headers: ifMatch },
  responses: { 204: { description: "It is archived" } },
});

const validate = createRoute({
  ...common,
  method: "post",
  path: "/{id}/validate",
  summary: "Check an agent's draft",
  request: { params },
  responses: { 200: answer(Check, "Everything that is wrong with it") },
});

const publish = createRoute({
  ...common,
  method: "post",
  path: "/{id}/publish",
  summary: "Publish an agent's draft as its next version",
  request: { params, headers: ifMatch },
  responses: { 201: answer(Version, "The version, which answers calls from now on") },
});

const duplicate = createRoute({
  ...common,
  method: "post",
  path: "/{id}/duplicate",
  summary: "Create an agent from another one",
  request: { params, body: { ...body(Copy), required: false } },
  responses: { 201: answer(Agent, "The new agent") },
});

const versions = createRoute({
  ...common,
  method: "get",
  path: "/{id}/versions",
  summary: "List an agent's versions, newest first",
  request: { params, query: PageQuery },
  responses: { 200: answer(listOf(VersionSummary), "A page of versions") },
});

const version = createRoute({
  ...common,
  method: "get",
  path: "/{id}/versions/{number}",
  summary: "Read a version of an agent",
  request: { params: versionParams },
  responses: { 200: answer(Version, "The version with its graph") },
});

const restore = createRoute({
  ...common,
  method: "post",
  path: "/{id}/versions/{number}/restore",
  summary: "Make a version's graph the draft",
  request: { params: versionParams, headers: ifMatch },
  responses: { 200: answer(Agent, "The agent with that draft") },
});

export const agents = newRoutes()
  .openapi(list, async (c) => c.json(await c.var.desk("agents", c.req.valid("query")), 200))
  .openapi(create, async (c) => {
    const made = await c.var.desk("createAgent", c.req.valid("json"));
    return c.json(made, 201, etagOf(made.revision));
  })
  .openapi(get, async (c) => {
    const found = await c.var.desk("agent", c.req.valid("param").id);
    return c.json(found, 200, etagOf(found.revision));
  })
  .openapi(patch, async (c) => {
    const { id: agentId } = c.req.valid("param");
    const expected = c.req.valid("header")["if-match"];
    const input = { agentId, expected, ...c.req.valid("json") };
    const changed = await c.var.desk("changeAgent", input);
    return c.json(changed, 200, etagOf(changed.revision));
  })
  .openapi(archive, async (c) => {
    const expected = c.req.valid("header")["if-match"];
    await c.var.desk("archiveAgent", { agentId: c.req.valid("param").id, expected });
    return c.body(null, 204);
  })
  .openapi(
    validate,
    async (c) => c.json(await c.var.desk("validateAgent", c.req.valid("param").id), 200),
  )
  .openapi(publish, async (c) => {
    const expected = c.req.valid("header")["if-match"];
    const input = { agentId: c.req.valid("param").id, expected };
    // A graph is stored only after it was parsed.
    return c.json(await c.var.desk("publishAgent", input) as z.infer<typeof Version>, 201);
  })
  .openapi(duplicate, async (c) => {
    const input = { agentId: c.req.valid("param").id, ...c.req.valid("json") };
    const made = await c.var.desk("duplicateAgent", input);
    return c.json(made, 201, etagOf(made.revision));
  })
  .openapi(versions, async (c) => {
    const input = { agentId: c.req.valid("param").id, ...c.req.valid("query") };
    return c.json(await c.var.desk("agentVersions", input), 200);
  })
  .openapi(version, async (c) => {
    const { id: agentId, number } = c.req.valid("param");
    const found = await c.var.desk("agentVersion", { agentId, number });
    return c.json(found as z.infer<typeof Version>, 200); // as above
  })
  .openapi(restore, async (c) => {
    const { id: agentId, number } = c.req.valid("param");
    const expected = c.req.valid("header")["if-match"];
    const restored = await c.var.desk("restoreAgentVersion", { agentId, number, expected });
    return c.json(restored, 200, etagOf(restored.revision));
  });
