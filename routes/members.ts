/** Members over REST: who belongs to the tenant, as what, and who leaves. */

import { createRoute, z } from "@hono/zod-openapi";
import type { MemberView } from "@/actors/desk/members.ts";
import { ROLES } from "@/lib/access.ts";
import { answer, body, id, listOf, newRoutes, PageQuery, SIGNED_IN, Time } from "./openapi.ts";

export const RoleName = z.enum(ROLES);

const Member = z.object({
  id: id("member"),
  personId: id("person"),
  email: z.string(),
  name: z.string(),
  role: RoleName,
  createdAt: Time,
}).openapi("Member") satisfies z.ZodType<MemberView>;

const params = z.object({ id: id("member") });
const common = { tags: ["Members"], security: SIGNED_IN };

const list = createRoute({
  ...common,
  method: "get",
  path: "/",
  summary: "List members, the first one joined first",
  request: { query: PageQuery },
  responses: { 200: answer(listOf(Member), "A page of members") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/{id}",
  summary: "Read a member",
  request: { params },
  responses: { 200: answer(Member, "The member") },
});

const patch = createRoute({
  ...common,
  method: "patch",
  path: "/{id}",
  summary: "Change a member's role",
  description: "Only owners make or unmake owners, and a tenant keeps at least one (409).",
  request: { params, body: body(z.strictObject({ role: RoleName })) },
  responses: { 200: answer(Member, "The member as they are now") },
});

const remove = createRoute({
  ...common,
  method: "delete",
  path: "/{id}",
  summary: "Remove a member, or leave",
  description: "Every member may remove themselves. A tenant keeps at least one owner (409).",
  request: { params },
  responses: { 204: { description: "They belong to the tenant no longer" } },
});

export const members = newRoutes()
  .openapi(list, async (c) => c.json(await c.var.desk("members", c.req.valid("query")), 200))
  .openapi(get, async (c) => c.json(await c.var.desk("member", c.req.valid("param").id), 200))
  .openapi(patch, async (c) => {
    const input = { memberId: c.req.valid("param").id, ...c.req.valid("json") };
    return c.json(await c.var.desk("changeMember", input), 200);
  })
  .openapi(remove, async (c) => {
    await c.var.desk("removeMember", c.req.valid("param").id);
    return c.body(null, 204);
  });
