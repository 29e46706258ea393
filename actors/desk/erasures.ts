/** Errands of erasure: a call or a contact is gone for good, and a receipt stays. */

import { addCounts, erase } from "@/db/erasers.ts";
import { getCall } from "@/db/calls.ts";
import {
  type ErasureReceipt,
  insertReceipt,
  listContactCalls,
  listReceipts,
} from "@/db/erasure.ts";
import { AppError } from "@/lib/errors.ts";
import { newId, uuidOf } from "@/lib/ids.ts";
import { peppered } from "@/lib/pepper.ts";
import { errand } from "./errand.ts";
import type { Office } from "./office.ts";

/** Of one transaction. */
const CALLS_MAX = 100;
/** What is still being written when a call ends is written by then. */
const SETTLED_MS = 10_000;

export interface ReceiptView {
  readonly id: string;
  readonly kind: "call" | "contact";
  /** HMAC-SHA-256 of the erased id or number under a key of the house, hex. */
  readonly subjectHash: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly erasedBy: string;
  readonly at: string;
}

export const erasureErrands = {
  /** Rows, events, what was told of it and is to be done about it. Fails with conflict while it lives. */
  eraseCall: errand("data:erase", async (office, callId: string): Promise<ReceiptView> => {
    if (uuidOf("call", callId) === null) throw noCall();
    const call = await office.read((sql) => getCall(sql, office.tenantId, callId));
    if (call === null) throw noCall();
    refuseLive(office, call.endedAt);
    const receipt = await begin(office, "call", callId);
    return await end(office, receipt, await erase(office, { callIds: [callId], number: null }));
  }),

  /** All calls from and to the number, and what else holds it. Asked again, it erases what came since. */
  eraseContact: errand(
    "data:erase",
    async (office, { phone }: { readonly phone: string }): Promise<ReceiptView> => {
      const { tenantId, read } = office;
      const list = () => read((sql) => listContactCalls(sql, tenantId, phone, CALLS_MAX));
      let calls = await list(); // those that live first, then the youngest
      for (const { endedAt } of calls) refuseLive(office, endedAt);
      const receipt = await begin(office, "contact", phone);
      const counts: Record<string, number> = {};
      while (calls.length > 0) {
        const callIds = calls.map(({ id }) => id);
        const erased = await erase(office, { callIds, number: null });
        addCounts(counts, erased);
        if (erased["calls"] === 0) break; // another erasure of the same has been faster
        calls = (await list()).filter(({ status }) => status === "ended");
      }
      addCounts(counts, await erase(office, { callIds: [], number: phone }));
      return await end(office, receipt, counts);
    },
  ),

  /** Newest first; `cursor` is the id of the last one already seen. */
  erasures: errand(
    "data:erase",
    async (
      { read, tenantId },
      { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
    ): Promise<{ items: ReceiptView[]; next: string | null }> => {
      if (cursor !== undefined && uuidOf("receipt", cursor) === null) {
        throw new AppError("invalid", "Not a cursor that was given out", { field: "cursor" });
      }
      const receipts = await read((sql) => listReceipts(sql, tenantId, { limit, before: cursor }));
      const next = receipts.length < limit ? null : receipts.at(-1)?.id ?? null;
      return { items: receipts.map(toView), next };
    },
  ),
};

type Begun = Omit<ErasureReceipt, "counts" | "at">;

/** Said before anything is erased, so that an erasure that is broken off is on record too. */
async function begin(office: Office, kind: "call" | "contact", subject: string): Promise<Begun> {
  const { tenantId, by, pepper } = office;
  if (pepper === null) {
    throw new AppError("not_configured", "Cannot leave a receipt: no pepper is set", {
      field: "TOKEN_PEPPER",
    });
  }
  const subjectHash = peppered(pepper, "erasure", `${tenantId}\0${subject}`);
  const receipt: Begun = { id: newId("receipt"), kind, subjectHash, erasedBy: by.id };
  await office.act(({ audit }) =>
    audit({ action: `${kind}.erasing`, subjectId: receipt.id, details: {} })
  );
  return receipt;
}

async function end(
  office: Office,
  begun: Begun,
  counts: Readonly<Record<string, number>>,
): Promise<ReceiptView> {
  const { tenantId, clock } = office;
  const receipt: ErasureReceipt = { ...begun, counts, at: clock.date() };
  await office.act(async ({ sql, audit }) => {
    await insertReceipt(sql, tenantId, receipt);
    await audit({ action: `${begun.kind}.erased`, subjectId: receipt.id, details: { counts } });
  });
  return toView(receipt);
}

function refuseLive({ clock }: Office, endedAt: Date | null): void {
  if (endedAt === null) {
    throw new AppError("conflict", "Cannot erase a call that has not ended: end it first");
  }
  if (clock.date().getTime() - endedAt.getTime() < SETTLED_MS) {
    throw new AppError(
      "conflict",
      "Cannot erase a call that ended within the last 10 s: try again",
      {
        retryable: true,
        retryAfterS: SETTLED_MS / 1_000,
      },
    );
  }
}

function noCall(): AppError {
  return new AppError("not_found", "No such call");
}

function toView({ subjectHash, at, ...receipt }: ErasureReceipt): ReceiptView {
  return { ...receipt, subjectHash: subjectHash.toHex(), at: at.toISOString() };
}
