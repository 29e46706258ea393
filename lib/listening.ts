/** Listening in to live calls: what its routes and its actors have in common. */

/** What a page names first in `Sec-WebSocket-Protocol`; behind it `ticket.…`. */
export const LISTEN_PROTOCOL = "ringmaster.listen.v1";
/** Who has a ticket opens the socket with it within this. */
export const INVITE_MS = 60_000;
