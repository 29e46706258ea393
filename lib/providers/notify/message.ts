/** A mail as bytes, in MIME (RFC 5322). */

import MailComposer from "nodemailer/lib/mail-composer";
import type { Mail } from "./notify.ts";

/** Lines in headers are folded and encoded: nothing in a name or a subject can add a header. */
export async function messageOf(
  { to, subject, text }: Mail,
  { from, date }: { readonly from: string; readonly date: Date },
): Promise<Uint8Array> {
  // No file and no URL is ever read for a mail.
  const options = {
    from,
    to,
    subject,
    text,
    date,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
  return await new MailComposer(options).compile().build();
}
