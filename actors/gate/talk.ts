/** Entries of pages that come to talk: a ticket to an agent that anyone may talk to, and a ticket shown. */

import { publicTalkOwner, talkTicketOwner, webCallOwner } from "@/db/lookups.ts";
import { insertTalkTicket, takeTalkTicket } from "@/db/talk_tickets.ts";
import { getTenant } from "@/db/tenants.ts";
import { isServed } from "@/lib/access.ts";
import { AppError } from "@/lib/errors.ts";
import { newToken } from "@/lib/ids.ts";
import { TICKET_MS, ticketHash } from "@/lib/talk.ts";
import { entry } from "./entry.ts";
import { pepperOf } from "./sign_in.ts";

const ENTRY_MS = 2_000;

/** Whom a ticket leads to. */
export interface Talker {
  readonly tenantId: string;
  readonly agentId: string;
  /** The page's that may show it; null: the house's own. */
  readonly origin: string | null;
  readonly configVersion: number;
}

export const talkEntries = {
  /** Throws not_found for every agent but those whose own switch lets anyone talk. */
  publicTalkTicket: entry(async (lobby, agentId: string): Promise<{ ticket: string }> => {
    const { database, clock } = lobby;
    const pepper = pepperOf(lobby);
    const owner = await database.lookup("calls", ENTRY_MS, (sql) => publicTalkOwner(sql, agentId));
    if (owner === null) throw new AppError("not_found", "Nobody may talk here without a ticket");
    const ticket = newToken();
    const now = clock.date();
    const expiresAt = new Date(now.getTime() + TICKET_MS);
    const hash = ticketHash(pepper, ticket);
    await database.asTenant("calls", owner, ENTRY_MS, async (sql) => {
      const tenant = await getTenant(sql, owner);
      if (tenant === null || !isServed(tenant.status)) {
        throw new AppError("not_found", "Nobody may talk here without a ticket");
      }
      await insertTalkTicket(sql, owner, { hash, agentId, origin: null, expiresAt, now });
    });
    return { ticket };
  }),

  /** Whose the call is that a page comes back to, wherever it was held. Throws not_found. */
  talkedCall: entry(async (
    lobby,
    shown: { readonly callId: string; readonly carrierCallId: string },
  ): Promise<{ tenantId: string }> => {
    const { database } = lobby;
    const owner = await database.lookup("calls", ENTRY_MS, (sql) => webCallOwner(sql, shown));
    if (owner === null) throw new AppError("not_found", "The call has ended");
    return { tenantId: owner };
  }),

  /** Spends the ticket. Throws forbidden for one that is none, was used, has expired or is for another agent. */
  redeemTalkTicket: entry(async (
    lobby,
    { ticket, agentId }: { readonly ticket: string; readonly agentId: string },
  ): Promise<Talker> => {
    const { database, clock } = lobby;
    const hash = ticketHash(pepperOf(lobby), ticket);
    const owner = await database.lookup("calls", ENTRY_MS, (sql) => talkTicketOwner(sql, hash));
    const found = owner === null ? null : await database.asTenant(
      "calls",
      owner,
      ENTRY_MS,
      async (sql) => ({
        taken: await takeTalkTicket(sql, owner, hash),
        tenant: await getTenant(sql, owner),
      }),
    );
    const taken = found?.taken ?? null;
    if (owner === null || taken === null || taken.expiresAt <= clock.date()) throw spent();
    if (taken.agentId !== agentId) throw spent();
    const { configVersion } = found?.tenant ?? { configVersion: 0 };
    return { tenantId: owner, agentId, origin: taken.origin, configVersion };
  }),
};

function spent(): AppError {
  return new AppError("forbidden", "The ticket was used, or is too old");
}
