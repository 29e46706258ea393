/** ETags where two people edit: an edit of what somebody else has changed since is refused (RFC 9110 §13.1.1). */

import { z } from "zod";

/** A version as a strong ETag. */
export function etagOf(version: number): { readonly ETag: string } {
  return { ETag: `"${version}"` };
}

/**
 * `If-Match`: the version that the edit was made from; null: whichever there is. A tag that came back
 * weak counts: ours name a version of the thing, and compressing an answer weakens its tag only.
 */
export const ifMatch = z.object({
  "if-match": z.string().max(32).regex(/^(\*|(W\/)?"\d{1,9}")$/, "Not an ETag that was given out")
    .optional()
    .transform((tag) =>
      tag === undefined || tag === "*" ? null : Number(tag.replaceAll(/\D/g, ""))
    ),
});
