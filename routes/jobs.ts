/** Jobs over REST: work that goes on by itself, and what failed for good. */

import { createRoute, z } from "@hono/zod-openapi";
import { JOB_STATUSES } from "@/actors/desk/jobs.ts";
import { answer, body, id, listOf, newRoutes, PageQuery, SIGNED_IN, Time } from "./openapi.ts";

const Kind = z.string().min(1).max(64);

const Job = z.object({
  id: id("job"),
  kind: z.string(),
  key: z.string(),
  status: z.enum(JOB_STATUSES).meta({ description: "`dead`: it failed as often as it may" }),
  attempts: z.int(),
  runAt: Time,
  lastError: z.string().nullable(),
  createdAt: Time,
  finishedAt: Time.nullable(),
}).openapi("Job");

const JobQuery = PageQuery.extend({
  status: z.enum(JOB_STATUSES).optional(),
  kind: Kind.optional(),
});
const params = z.object({ id: id("job") });
const common = { tags: ["Jobs"], security: SIGNED_IN };

const list = createRoute({
  ...common,
  method: "get",
  path: "/",
  summary: "List jobs, newest first",
  request: { query: JobQuery },
  responses: { 200: answer(listOf(Job), "A page of jobs") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/{id}",
  summary: "Read a job",
  request: { params },
  responses: { 200: answer(Job, "The job") },
});

const replay = createRoute({
  ...common,
  method: "post",
  path: "/{id}/replay",
  summary: "Run a dead job again",
  request: { params },
  responses: { 202: answer(Job, "It waits to be run") },
});

const replayAll = createRoute({
  ...common,
  method: "post",
  path: "/replay",
  summary: "Run all dead jobs of a kind again: 10,000 at most",
  request: { body: body(z.strictObject({ kind: Kind })) },
  responses: { 202: answer(z.object({ replayed: z.int() }), "So many wait to be run") },
});

export const jobs = newRoutes()
  .openapi(list, async (c) => c.json(await c.var.desk("jobs", c.req.valid("query")), 200))
  .openapi(get, async (c) => c.json(await c.var.desk("job", c.req.valid("param").id), 200))
  .openapi(replay, async (c) => {
    return c.json(await c.var.desk("replayJob", c.req.valid("param").id), 202);
  })
  .openapi(replayAll, async (c) => {
    return c.json(await c.var.desk("replayJobs", c.req.valid("json")), 202);
  });
