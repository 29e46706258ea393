/** What an attacker would write where a string is taken, in the hope that it becomes SQL. */

import fc from "fast-check";

const QUOTES = ["'", '"', "`", "')", "'))", "''", "\\'", "%27", "ʼ", "＇", "$$", "$tag$"];
const CONDITIONS = [
  ...["OR '1'='1", "OR 1=1", "AND 1=0", "OR 'a'='a' --", "OR TRUE /*", "AND 1=CAST('x' AS int)"],
  ...["; DROP TABLE tenant; --", "; SELECT pg_sleep(5); --", "|| pg_sleep(5) ||"],
  ...["UNION SELECT NULL,NULL,NULL --", "UNION ALL SELECT password_hash FROM person_secret --"],
  ...["; SET ROLE postgres; --", "; SELECT set_config('app.tenants','{}',false); --"],
  ...["; COPY tenant TO PROGRAM 'id'; --", "AND (SELECT count(*) FROM pg_roles) > 0 --"],
  ...["LIMIT 0 OFFSET 0 --", "; RESET ROLE; --", "IS NULL --", ":: text", "\\x27 OR 1=1"],
];
const ENDS = ["", " --", " #", " /*", ";", "\u0000", "\n", ")", "%", "_", "\\"];

/** One payload: a quote, a condition and an end, sometimes within a harmless text. */
export const sqlPayload: fc.Arbitrary<string> = fc.tuple(
  fc.constantFrom("", "1", "x", "agent_", "-1"),
  fc.constantFrom(...QUOTES),
  fc.constantFrom(...CONDITIONS),
  fc.constantFrom(...ENDS),
).map(([before, quote, condition, end]) => `${before}${quote} ${condition}${end}`);
