/** What people and tenants choose: languages, time zones, voices and models, as they are written in bodies. */

import { z } from "@hono/zod-openapi";

/** BCP 47, as `en` or `pt-BR`; RFC 5646 4.4.1 asks for room for 35 characters. */
export const Language = z.string().max(35).regex(/^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/);

/** An IANA name. */
export const TimeZone = z.string().max(64).refine(isTimeZone, "Not an IANA time zone");

/** A voice of the speech provider, by its id. */
export const Voice = z.string().trim().min(1).max(100);

/** A language model, by the name its provider knows it by. */
export const Model = z.string().trim().min(1).max(100);

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
