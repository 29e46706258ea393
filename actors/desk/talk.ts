/** Errands on talking to an agent from a page: a ticket, which lets one page in. */

import { getAgent } from "@/db/agents.ts";
import { insertTalkTicket } from "@/db/talk_tickets.ts";
import { AppError } from "@/lib/errors.ts";
import { newToken } from "@/lib/ids.ts";
import { talkPath, TICKET_MS, ticketHash } from "@/lib/talk.ts";
import { errand } from "./errand.ts";

export interface TalkTicketView {
  readonly ticket: string;
  readonly expiresAt: string;
  /** The page with the ticket in its fragment, which no server is sent. */
  readonly url: string;
}

export const talkErrands = {
  /** For a page of this origin; null: for the house's own. Fails with conflict while no version is published. */
  newTalkTicket: errand("calls:write", async (
    { act, tenantId, clock, publicUrl, pepper },
    { agentId, origin }: { readonly agentId: string; readonly origin: string | null },
  ): Promise<TalkTicketView> => {
    if (pepper === null) {
      const field = "TOKEN_PEPPER";
      throw new AppError("not_configured", `Tickets are not configured: ${field} is missing`, {
        field,
      });
    }
    const ticket = newToken();
    const now = clock.date();
    const expiresAt = new Date(now.getTime() + TICKET_MS);
    await act(async ({ sql, audit }) => {
      const agent = await getAgent(sql, tenantId, agentId);
      if (agent === null) throw new AppError("not_found", "No such agent");
      if (agent.publishedVersion === null || agent.archivedAt !== null) {
        throw new AppError("conflict", "The agent has no published version");
      }
      const hash = ticketHash(pepper, ticket);
      await insertTalkTicket(sql, tenantId, { hash, agentId, origin, expiresAt, now });
      await audit({ action: "agent.talk_ticket", subjectId: agentId, details: { origin } });
    });
    const url = `${publicUrl}${talkPath(agentId)}#ticket=${ticket}`;
    return { ticket, expiresAt: expiresAt.toISOString(), url };
  }),
};
