/** SMTP. https://www.rfc-editor.org/rfc/rfc5321 */

import { Buffer } from "node:buffer";
import SMTPConnection from "nodemailer/lib/smtp-connection";
import { type Clock, deadline } from "@/lib/clock.ts";
import { AppError } from "@/lib/errors.ts";
import type { Secret } from "@/lib/secret.ts";
import { messageOf } from "./message.ts";
import type { Mail, Notifier } from "./notify.ts";

/** Of one mail, from the connection to the last answer. RFC 5321 4.5.3.2 has minutes; nobody waits so long. */
const SEND_MS = 30_000;
/** Longer than any mail may take: our deadline ends it, whichever of the library's would have. */
const LIBRARY_MS = 10 * SEND_MS;

export interface SmtpOptions {
  /** `smtp://user:password@host:587`, or smtps: for TLS from the first byte. */
  readonly url: Secret;
  readonly from: string;
  readonly clock: Clock;
}

export function smtp({ url, from, clock }: SmtpOptions): Notifier {
  const server = serverOf(url.reveal());

  async function send(mail: Mail, signal: AbortSignal): Promise<void> {
    const { auth, ...options } = server;
    const message = await messageOf(mail, { from, date: clock.date() });
    const connection = new SMTPConnection({
      ...options,
      name: nameOf(from),
      connectionTimeout: LIBRARY_MS,
      greetingTimeout: LIBRARY_MS,
      socketTimeout: LIBRARY_MS,
      dnsTimeout: LIBRARY_MS,
      socketCloseTimeout: 0,
    });
    const taken = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    const aborted = (): void => taken.reject(signal.reason);
    signal.addEventListener("abort", aborted, { once: true });
    signal.addEventListener("abort", () => ended.resolve(), { once: true });
    connection.on("error", taken.reject);
    connection.once("end", () => {
      taken.reject(new Error("The connection was closed"));
      ended.resolve();
    });
    const then = (next: () => void) => (error?: Error | null): void =>
      error ? taken.reject(error) : next();
    const deliver = (): void => {
      const envelope = { from: addressOf(from), to: [mail.to] };
      connection.send(envelope, Buffer.from(message), then(taken.resolve));
    };
    connection.connect(then(() => auth ? connection.login(auth, then(deliver)) : deliver()));
    try {
      await taken.promise;
      connection.quit();
      await ended.promise;
    } finally {
      signal.removeEventListener("abort", aborted);
      connection.close();
    }
  }

  return {
    provider: "smtp",
    async send(mail, signal) {
      signal.throwIfAborted();
      const late = () => new AppError("provider_failed", `smtp: no answer in ${SEND_MS} ms`);
      const life = deadline(clock, SEND_MS, late);
      try {
        await send(mail, AbortSignal.any([signal, life.signal]));
      } catch (error) {
        signal.throwIfAborted();
        throw error instanceof AppError ? error : toAppError(error);
      } finally {
        life.cancel();
      }
    },
  };
}

/** Where the server is, and how to log in. */
function serverOf(address: string) {
  const url = new URL(address);
  const secure = url.protocol === "smtps:";
  const user = decodeURIComponent(url.username);
  const isLoopback = /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (secure ? 465 : 587) : Number(url.port), // RFC 8314 3.3
    secure,
    requireTLS: user !== "" && !isLoopback, // a password never goes out in the clear
    auth: user === "" ? null : { user, pass: decodeURIComponent(url.password) },
  };
}

/** `Ringmaster <no-reply@example.com>` or the bare address. */
function addressOf(from: string): string {
  return /<([^<>]+)>\s*$/.exec(from)?.[1] ?? from.trim();
}

/** What we call ourselves in EHLO: the domain that mails come from. */
function nameOf(from: string): string {
  return addressOf(from).split("@")[1] ?? "localhost";
}

/** The server's own words may hold the address of the reader: its code is enough. */
function toAppError(error: unknown): AppError {
  const { code, responseCode } = error as { code?: unknown; responseCode?: unknown }; // nodemailer's
  const status = typeof responseCode === "number" && responseCode > 0 ? responseCode : undefined;
  const what = status === undefined ? `failed: ${code ?? "unknown"}` : `refused with ${status}`;
  return new AppError("provider_failed", `smtp: ${what}`, {
    retryable: status === undefined || status < 500, // RFC 5321 4.2.1: 4yz may be tried again
    ...(status === undefined ? {} : { status }),
    cause: error,
  });
}
