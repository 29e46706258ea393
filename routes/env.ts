/** What the middleware knows of a request and its route may read. */

import type { AskDesk } from "@/actors/desk/errands.ts";
import type { RequestFacts } from "@/actors/desk/office.ts";
import type { AskGate } from "@/actors/gate/entries.ts";
import type { NumberOwner } from "@/actors/gate/gate.ts";
import type { Principal, SignedIn } from "@/lib/access.ts";

export interface Env {
  /** What the listener knows of the connection; absent where a test calls the app itself. */
  Bindings: { readonly remoteAddress?: string };
  Variables: {
    /** The sender's `X-Request-Id`, or a new one; in every answer and every log line. */
    requestId: string;
    /** Headers that are written on the finished answer: see `tell`. */
    told: [name: string, value: string][];
    /** The body of a webhook whose signature has been checked. */
    signedForm: URLSearchParams;
    /** The same as it came. */
    signedBody: string;
    /** Of a webhook that a tenant's own account has signed: that tenant, and the number if it is its own. */
    signedBy: { readonly tenantId: string; readonly owner: NumberOwner | null } | null;
    /** What the request says of itself, for errands and entries. */
    request: RequestFacts;
    /** Who asks. Only behind `authenticated`. */
    principal: Principal;
    /** Only behind `signedIn`. */
    person: SignedIn;
    /** The operator's name. Only on the operators' listener. */
    operator: string;
    /** Asks who it is again: fails as `authenticated` does when the credential is no longer good. */
    recheck: () => Promise<Principal>;
    /** Asks the desk of the principal's tenant. Only behind `authenticated`. */
    desk: AskDesk;
    /** The events of a call after this `seq`, as Server-Sent Events. Only behind `watching`. */
    watchCall: (callId: string, after: number) => Promise<ReadableStream<Uint8Array>>;
    /** Asks the gate, for the principal where there is one. */
    gate: AskGate;
  };
}
