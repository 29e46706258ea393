/** What a person prefers: kept for them, changed by them, and read by nobody else. */

import assert from "node:assert/strict";
import { decodeJwt } from "jose";
import { insertMember } from "@/db/members.ts";
import { getPersonPreferences } from "@/db/person_preferences.ts";
import { newId } from "@/lib/ids.ts";
import { testDatabase } from "@/tests/support/database.ts";
import { type Entrance, entrance } from "@/tests/support/entrance.ts";
import { DEADLINE_MS } from "@/tests/support/rows.ts";

const { open } = await testDatabase();

async function signUp(house: Entrance) {
  const email = `${crypto.randomUUID()}@example.com`;
  const signup = { email, password: "correct horse battery", name: "Ada", tenantName: "Clinic" };
  const { accessToken, tenantId } = await house.run("signUp", signup);
  const { sub = "", sid } = decodeJwt(accessToken);
  return { tenantId: tenantId ?? "", person: { personId: sub, sessionId: String(sid) } };
}

Deno.test("preferences are there from the next look on, and change one by one", async () => {
  await using database = await open();
  const house = entrance(database);
  const { person } = await signUp(house);
  const look = async () => (await house.run("me", undefined, { person })).preferences;
  assert.deepEqual(await look(), {});
  const preferences = {
    language: "pt-BR",
    timezone: "America/Sao_Paulo",
    voice: "v1",
    model: "m1",
  };
  const changed = await house.run("changeMe", { preferences }, { person });
  assert.deepEqual([changed.preferences, await look()], [preferences, preferences]);
  await house.run("changeMe", { preferences: { language: "de", voice: null } }, { person });
  await house.run("changeMe", { name: "Ada L." }, { person }); // and these stay
  const { voice: _, ...rest } = preferences;
  assert.deepEqual(await look(), { ...rest, language: "de" });
});

Deno.test("changes at the same time are all kept", async () => {
  await using database = await open();
  const house = entrance(database);
  const { person } = await signUp(house);
  const preferences = { language: "de", timezone: "Europe/Berlin", voice: "v1", model: "m1" };
  await Promise.all(
    Object.entries(preferences).map(([name, value]) =>
      house.run("changeMe", { preferences: { [name]: value } }, { person })
    ),
  );
  assert.deepEqual((await house.run("me", undefined, { person })).preferences, preferences);
});

Deno.test("fellow members do not read a person's preferences, nor does a request of their tenant", async () => {
  await using database = await open();
  const house = entrance(database);
  const [ada, bo] = [await signUp(house), await signUp(house)];
  const { tenantId } = ada;
  const member = { id: newId("member"), personId: bo.person.personId, role: "admin" as const };
  await database.asTenant(
    "rest",
    tenantId,
    DEADLINE_MS,
    (sql) => insertMember(sql, tenantId, member),
  );
  await house.run("changeMe", { preferences: { language: "de" } }, { person: ada.person });
  assert.deepEqual((await house.run("me", undefined, { person: bo.person })).preferences, {});
  const { personId } = ada.person;
  const seen = [
    await database.asPerson(
      "rest",
      { personId: bo.person.personId, tenantIds: [tenantId, bo.tenantId] },
      DEADLINE_MS,
      (sql) => getPersonPreferences(sql, personId),
    ),
    await database.asTenant(
      "rest",
      tenantId,
      DEADLINE_MS,
      (sql) => getPersonPreferences(sql, personId),
    ),
  ];
  assert.deepEqual(seen, [{}, {}]);
});
