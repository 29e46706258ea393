/** Twilio with several accounts at one address, as the real one is: each a fake of its own. */

import type { FakeTwilio } from "./twilio.ts";

export interface TwilioAccounts {
  /** For `TWILIO_API_URL`. */
  readonly url: string;
  close(): Promise<void>;
}

/** Passes each request on to the account that its path names. The accounts are closed with it. */
export function joinTwilio(accounts: readonly FakeTwilio[]): TwilioAccounts {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const sid = pathname.split("/")[3]?.replace(".json", "");
    const account = accounts.find(({ accountSid }) => accountSid === sid);
    if (account === undefined) return new Response(null, { status: 404 });
    const body = request.method === "GET" ? null : await request.text();
    return await fetch(`${account.url}${pathname}`, {
      method: request.method,
      headers: request.headers,
      body,
    });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    async close() {
      await Promise.all(accounts.map((account) => account.close()));
      await server.shutdown();
    },
  };
}
