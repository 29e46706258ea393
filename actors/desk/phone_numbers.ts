/** Errands on phone numbers: taking one for the tenant, saying who answers it and how, giving it back. */

import { holdAgent } from "@/db/agents.ts";
import type { Sql } from "@/db/client.ts";
import {
  deletePhoneNumber,
  getPhoneNumber,
  insertPhoneNumber,
  listPhoneNumbers,
  type NumberChange,
  type PhoneNumber,
  updatePhoneNumber,
} from "@/db/phone_numbers.ts";
import { AppError } from "@/lib/errors.ts";
import { newId } from "@/lib/ids.ts";
import type { NumberLeg } from "@/lib/workflow/leg.ts";
import type { WhenFull } from "@/lib/workflow/when_full.ts";
import { errand } from "./errand.ts";

export interface PhoneNumberView {
  readonly id: string;
  /** E.164. */
  readonly number: string;
  /** Who answers it; null: nobody. */
  readonly agentId: string | null;
  /** How its calls are held; null: as the agent says. */
  readonly leg: NumberLeg | null;
  /** What callers are offered while no line is free. */
  readonly whenFull: WhenFull;
  readonly createdAt: string;
}

interface NumbersPage {
  readonly limit: number;
  /** The id of the last one already seen. */
  readonly cursor?: string | undefined;
  /** Only those that this agent answers. */
  readonly agentId?: string | undefined;
}

export const phoneNumberErrands = {
  phoneNumbers: errand("numbers:read", async (
    { read, tenantId },
    { limit, cursor, agentId }: NumbersPage,
  ): Promise<{ items: PhoneNumberView[]; next: string | null }> => {
    const page = {
      limit,
      ...(cursor === undefined ? {} : { before: cursor }),
      ...(agentId === undefined ? {} : { agentId }),
    };
    const items = (await read((sql) => listPhoneNumbers(sql, tenantId, page))).map(toView);
    return { items, next: items.length < limit ? null : items.at(-1)?.id ?? null };
  }),

  phoneNumber: errand(
    "numbers:read",
    async ({ read, tenantId }, numberId: string): Promise<PhoneNumberView> =>
      toView(await read((sql) => found(sql, tenantId, numberId))),
  ),

  claimPhoneNumber: errand("numbers:write", async (
    { act, tenantId },
    { number, agentId = null, leg = null, whenFull = "busy" }: {
      readonly number: string;
      readonly agentId?: string | null | undefined;
      readonly leg?: NumberLeg | null | undefined;
      readonly whenFull?: WhenFull | undefined;
    },
  ): Promise<PhoneNumberView> =>
    await act(async ({ sql, audit }) => {
      await mayAnswer(sql, tenantId, agentId);
      const id = newId("number");
      if (!await insertPhoneNumber(sql, tenantId, { id, number, agentId, leg, whenFull })) {
        throw new AppError("conflict", "The number is taken", { field: "number" });
      }
      const details = { number, agentId, leg, whenFull };
      await audit({ action: "number.claimed", subjectId: id, details });
      return toView(await found(sql, tenantId, id));
    })),

  assignPhoneNumber: errand("numbers:write", async (
    { act, tenantId },
    { numberId, ...change }: NumberChange & { readonly numberId: string },
  ): Promise<PhoneNumberView> =>
    await act(async ({ sql, audit }) => {
      await found(sql, tenantId, numberId);
      await mayAnswer(sql, tenantId, change.agentId ?? null);
      if (!await updatePhoneNumber(sql, tenantId, numberId, change)) throw noNumber();
      const number = await found(sql, tenantId, numberId);
      const { agentId, leg, whenFull } = number;
      const details = { agentId, leg, whenFull };
      await audit({ action: "number.assigned", subjectId: numberId, details });
      return toView(number);
    })),

  /** Calls that were made over it stay on record. */
  releasePhoneNumber: errand("numbers:write", async ({ act, tenantId }, numberId: string) => {
    await act(async ({ sql, audit }) => {
      const number = await deletePhoneNumber(sql, tenantId, numberId);
      if (number === null) throw noNumber();
      await audit({ action: "number.released", subjectId: numberId, details: { number } });
    });
    return null;
  }),
};

/** An agent that is being archived in this instant is either archived before or has the number after. */
async function mayAnswer(sql: Sql, tenantId: string, agentId: string | null): Promise<void> {
  if (agentId === null) return;
  const agent = await holdAgent(sql, tenantId, agentId);
  if (agent === null) throw new AppError("not_found", "No such agent", { field: "agentId" });
  if (agent.archivedAt !== null) {
    throw new AppError("conflict", "The agent is archived", { field: "agentId" });
  }
}

async function found(sql: Sql, tenantId: string, numberId: string): Promise<PhoneNumber> {
  const number = await getPhoneNumber(sql, tenantId, numberId);
  if (number === null) throw noNumber();
  return number;
}

function noNumber(): AppError {
  return new AppError("not_found", "No such phone number");
}

function toView({ createdAt, ...number }: PhoneNumber): PhoneNumberView {
  return { ...number, createdAt: createdAt.toISOString() };
}
