/** Talking to an agent from a page: what lets a page in, and what it comes back with when its socket is lost. */

import { createHash } from "node:crypto";
import { peppered } from "./pepper.ts";
import type { Secret } from "./secret.ts";

/** A page shows its ticket as soon as somebody has pressed a button. */
export const TICKET_MS = 60_000;

/** Where the page of an agent is, under PUBLIC_URL. */
export function talkPath(agentId: string): string {
  return `/talk/${agentId}`;
}

/** What is stored of a ticket: it tells nothing without the house's pepper. */
export function ticketHash(pepper: Secret, ticket: string): Uint8Array<ArrayBuffer> {
  return peppered(pepper, "talk", ticket);
}

/**
 * What stands for a carrier's id of a web call. Only who holds the secret can say it, and it does not tell the secret:
 * so a page that has lost its socket shows whose call it was.
 */
export function webCallId(resumeSecret: string): string {
  return `WEB${createHash("sha256").update(resumeSecret).digest("hex")}`;
}
