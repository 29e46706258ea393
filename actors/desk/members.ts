/** Errands on members: who belongs to the tenant, as what, and who leaves. */

import type { Sql } from "@/db/client.ts";
import {
  deleteMember,
  getMember,
  listMembers,
  lockOwners,
  type Member,
  updateMemberRole,
} from "@/db/members.ts";
import { type Principal, type Role, SCOPES_OF } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { errand } from "./errand.ts";

export interface MemberView {
  readonly id: string;
  readonly personId: string;
  readonly email: string;
  readonly name: string;
  readonly role: Role;
  readonly createdAt: string;
}

export const memberErrands = {
  /** The first one joined first; `cursor` is the id of the last one already seen. */
  members: errand("members:read", async (
    { read, tenantId },
    { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
  ): Promise<{ items: MemberView[]; next: string | null }> => {
    const page = cursor === undefined ? { limit } : { limit, after: cursor };
    const items = (await read((sql) => listMembers(sql, tenantId, page))).map(toView);
    return { items, next: items.length < limit ? null : items.at(-1)?.id ?? null };
  }),

  member: errand(
    "members:read",
    async ({ read, tenantId }, memberId: string): Promise<MemberView> =>
      toView(await read((sql) => found(sql, tenantId, memberId))),
  ),

  changeMember: errand(
    "members:write",
    async (
      { act, by, tenantId },
      { memberId, role }: { readonly memberId: string; readonly role: Role },
    ): Promise<MemberView> =>
      await act(async ({ sql, audit, changeConfig }) => {
        const member = await found(sql, tenantId, memberId);
        if (member.role === role) return toView(member);
        mayGive(by, role);
        if (member.role === "owner") await unmakeOwner(sql, tenantId, { by, member });
        await updateMemberRole(sql, tenantId, memberId, role);
        await audit({
          action: "member.role_changed",
          subjectId: memberId,
          details: { role, before: member.role },
        });
        await changeConfig();
        return toView({ ...member, role });
      }),
  ),

  /** Whoever belongs to a tenant may leave it; others are removed by those who may. */
  removeMember: errand("tenant:read", async (
    { act, by, tenantId },
    memberId: string,
  ): Promise<void> =>
    await act(async ({ sql, audit, changeConfig }) => {
      const member = await getMember(sql, tenantId, memberId);
      const isLeaving = by.kind === "user" && member?.personId === by.id;
      if (!isLeaving && !by.scopes.has("members:write")) {
        throw new AppError("forbidden", 'This takes the scope "members:write"');
      }
      if (member === null) throw noMember();
      if (member.role === "owner") await unmakeOwner(sql, tenantId, { by, member });
      if (!await deleteMember(sql, tenantId, memberId)) throw noMember();
      await audit({
        action: isLeaving ? "member.left" : "member.removed",
        subjectId: memberId,
        details: { personId: member.personId, role: member.role },
      });
      await changeConfig();
    })),
};

/** Throws AppError("forbidden"): nobody gives a role that can do more than they can, and only owners make owners. */
export function mayGive(by: Principal, role: Role): void {
  if (role === "owner" && by.role !== "owner") {
    throw new AppError("forbidden", "Only an owner makes owners", { field: "role" });
  }
  const missing = SCOPES_OF[role].find((scope) => !by.scopes.has(scope));
  if (missing === undefined) return;
  throw new AppError("forbidden", `The role "${role}" has "${missing}", which you do not have`, {
    field: "role",
  });
}

/** Throws where they may not, or where the tenant would have no owner left. */
async function unmakeOwner(
  sql: Sql,
  tenantId: string,
  { by, member }: { readonly by: Principal; readonly member: Member },
): Promise<void> {
  if (by.role !== "owner") throw new AppError("forbidden", "Only an owner unmakes owners");
  const owners = await lockOwners(sql, tenantId);
  if (!owners.includes(member.id)) {
    throw new AppError("conflict", "The member is no owner any more: look again");
  }
  if (owners.length === 1) {
    throw new AppError("conflict", "A tenant keeps an owner: make another one first");
  }
}

async function found(sql: Sql, tenantId: string, memberId: string): Promise<Member> {
  const member = await getMember(sql, tenantId, memberId);
  if (member === null) throw noMember();
  return member;
}

function noMember(): AppError {
  return new AppError("not_found", "No such member");
}

function toView({ id, personId, email, name, role, createdAt }: Member): MemberView {
  return { id, personId, email, name, role, createdAt: createdAt.toISOString() };
}
