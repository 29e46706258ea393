/** Twilio's requests to us: signed forms out, TwiML back, and media sockets opened by it. */

import { signatureOf } from "@/lib/providers/carrier/signature.ts";
import { type MessageSocket, openSocket } from "@/lib/socket.ts";

/** How the carrier reaches the server. A test at virtual time passes its own. */
export interface Reach {
  /** Posts a form; the answer's status and body. */
  post(url: string, form: URLSearchParams, headers: Record<string, string>): Promise<Answer>;
  /** Throws when the upgrade is refused. */
  connect(url: string, headers: Record<string, string>): Promise<MessageSocket>;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Over the network. What is addressed to the public URL goes to where the server really is. */
export function network(publicUrl: string, serverUrl: string): Reach {
  const toServer = (url: string): string => {
    for (
      const [from, to] of [[publicUrl, serverUrl], [toWs(publicUrl), toWs(serverUrl)]] as const
    ) {
      if (url.startsWith(`${from}/`)) return to + url.slice(from.length);
    }
    return url;
  };
  return {
    async post(url, form, headers) {
      const response = await fetch(toServer(url), { method: "POST", body: form, headers });
      return { status: response.status, body: await response.text() };
    },
    connect: (url, headers) => openSocket(toServer(url), { headers }),
  };
}

function toWs(url: string): string {
  return url.replace(/^http/, "ws");
}

export interface Webhooks {
  /** The body of a 200. Throws Error for any other answer, as Twilio would (11200). */
  post(url: string, fields: Readonly<Record<string, string>>): Promise<string>;
  openStream(url: string): Promise<MessageSocket>;
}

/** Signs what Twilio signs: the URL as it stands in the settings or the TwiML, and the form. */
export function newWebhooks(reach: Reach, authToken: string): Webhooks {
  return {
    async post(url, fields) {
      const form = new URLSearchParams(fields);
      const answer = await reach.post(url, form, {
        "X-Twilio-Signature": signatureOf(authToken, url, form),
        "User-Agent": "TwilioProxy/1.1",
      });
      if (answer.status < 200 || answer.status > 299) {
        throw new Error(`Webhook answered ${answer.status}: ${answer.body}`);
      }
      return answer.body;
    },
    openStream: (url) => reach.connect(url, { "X-Twilio-Signature": signatureOf(authToken, url) }),
  };
}
