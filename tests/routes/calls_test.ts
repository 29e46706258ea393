/** Calls over REST: checked input, one door, and 404s that tell nothing. */

import assert from "node:assert/strict";
import type { CallView, EventView } from "@/actors/desk/calls.ts";
import type { DeskMessage } from "@/actors/desk/desk.ts";
import { answeredEnd } from "@/tests/support/rows.ts";
import { AppError } from "@/lib/errors.ts";
import { AGENT, API_KEY, CALL, type Fakes, setUp, TENANT } from "./fakes.ts";

const VIEW: CallView = {
  id: CALL,
  agentId: AGENT,
  direction: "inbound",
  channel: "phone",
  from: "+15550199",
  to: "+15550100",
  placedBy: null,
  status: "ended",
  outcome: "answered",
  reason: null,
  variables: { day: "Monday" },
  usage: answeredEnd.usage,
  startedAt: "2026-01-05T09:00:00.000Z",
  answeredAt: "2026-01-05T09:00:10.000Z",
  endedAt: "2026-01-05T09:01:00.000Z",
  durationMs: 50_000,
};
const EVENT: EventView = { seq: 1, type: "started", at: VIEW.startedAt, payload: {} };

function desk(message: DeskMessage): void {
  if (message.type !== "errand") return;
  const { name, input, reply } = message;
  const missing = (): void => reply.fail(new AppError("not_found", "No such call"));
  if (name === "call") input === CALL ? reply(VIEW) : missing();
  else if (name === "calls") reply({ items: [VIEW], next: null });
  else if (name === "callEvents") {
    Object(input).callId === CALL ? reply({ items: [EVENT], next: null }) : missing();
  } else if (name === "placeCall") reply({ id: CALL });
}

function errand(name: string, input: unknown): Fakes["sent"][number] {
  return { tenantId: TENANT, type: "errand", name, input };
}

interface Sent {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

async function send(
  { app }: Fakes,
  path: string,
  init: { body?: unknown; text?: string; token?: string | null; type?: string } = {},
): Promise<Sent> {
  const { body, text = JSON.stringify(body), token = API_KEY } = init;
  const headers = new Headers({ "X-Request-Id": "r1" });
  if (token !== null) headers.set("Authorization", `Bearer ${token}`);
  if (text !== undefined) headers.set("Content-Type", init.type ?? "application/json");
  const request = text === undefined ? { headers } : { method: "POST", headers, body: text };
  const response = await app.request(`/api/v1/calls${path}`, request);
  return { status: response.status, headers: response.headers, body: await response.text() };
}

Deno.test("calls are listed from the tenant's desk, page by page", async () => {
  const fakes = setUp({ desk });
  const list = await send(fakes, `?cursor=${CALL}&limit=10`);
  assert.deepEqual([list.status, JSON.parse(list.body)], [200, { items: [VIEW], next: null }]);
  assert.deepEqual(fakes.sent, [errand("calls", { cursor: CALL, limit: 10 })]);
  for (const query of ["?before=1", "?limit=0", "?limit=501", "?after=1"]) {
    const wrong = await send(fakes, query);
    assert.equal(wrong.status, 400, query);
  }
});

Deno.test("a call and its events are read from the tenant's desk", async () => {
  const fakes = setUp({ desk });
  const call = await send(fakes, `/${CALL}`);
  assert.deepEqual([call.status, JSON.parse(call.body)], [200, VIEW]);
  const events = await send(fakes, `/${CALL}/events?after=5&limit=10`);
  assert.deepEqual([events.status, JSON.parse(events.body)], [200, { items: [EVENT], next: null }]);
  assert.deepEqual(fakes.sent, [
    errand("call", CALL),
    errand("callEvents", { callId: CALL, after: 5, limit: 10 }),
  ]);
});

Deno.test("events come from the first on, a hundred at a time, unless asked otherwise", async () => {
  const fakes = setUp({ desk });
  await send(fakes, `/${CALL}/events`);
  assert.deepEqual(fakes.sent, [
    errand("callEvents", { callId: CALL, after: 0, limit: 100 }),
  ]);
  for (const query of ["limit=0", "limit=501", "limit=x", "after=-1", "surprise=1"]) {
    const { status, body } = await send(fakes, `/${CALL}/events?${query}`);
    assert.deepEqual([status, JSON.parse(body).field], [400, query.split("=")[0]]);
  }
});

Deno.test("a call is placed", async () => {
  const fakes = setUp({ desk });
  const body = { agentId: AGENT, to: "+15550100", from: "+15550199" };
  const { status, body: answer } = await send(fakes, "", { body });
  assert.deepEqual([status, JSON.parse(answer)], [201, { id: CALL }]);
  assert.deepEqual(fakes.sent, [errand("placeCall", body)]);
});

Deno.test("a wrong call is a problem that names the field, and reaches no desk", async () => {
  const good = { agentId: AGENT, to: "+15550100", from: "+15550199" };
  const rows: [unknown, string][] = [
    [{ ...good, agentId: "agent_1" }, "agentId"],
    [{ ...good, to: "15550100" }, "to"],
    [{ ...good, from: undefined }, "from"],
    [{ ...good, tenantId: TENANT }, "tenantId"],
    [[], ""],
    [null, ""],
  ];
  for (const [body, field] of rows) {
    const fakes = setUp({ desk });
    const { status, body: answer, headers } = await send(fakes, "", { body });
    assert.deepEqual([status, headers.get("content-type")], [400, "application/problem+json"]);
    const problem = JSON.parse(answer);
    assert.deepEqual([problem.code, problem.field, problem.requestId], ["invalid", field, "r1"]);
    assert.equal(fakes.sent.length, 0);
  }
});

Deno.test("a body is bounded in size, depth and width before it is parsed", async () => {
  const rows: [string, number][] = [
    [`{"to":"${"x".repeat(1024 * 1024)}"}`, 413],
    ["[".repeat(65) + "]".repeat(65), 413],
    [`[${"0,".repeat(10_001)}0]`, 413],
    ["[".repeat(64) + "]".repeat(64), 400],
    [`["\\"${"[".repeat(100)}"]`, 400], // a bracket in a string is no level
    [`["\\\\",${"[".repeat(100)}]`, 413],
    ["{", 400],
    ["", 400],
  ];
  for (const [text, status] of rows) {
    const fakes = setUp({ desk });
    assert.equal((await send(fakes, "", { text })).status, status, text.slice(0, 40));
  }
  const fakes = setUp({ desk });
  const form = await send(fakes, "", { text: "to=1", type: "application/x-www-form-urlencoded" });
  assert.deepEqual([form.status, JSON.parse(form.body).field], [415, "Content-Type"]);
});

Deno.test("a missing call, another tenant's and what is no id get byte-equal answers", async () => {
  const fakes = setUp({ desk });
  const other = CALL.replace(/3$/, "4");
  const answers = [
    await send(fakes, `/${other}`),
    await send(fakes, "/call_1"),
    await send(fakes, `/${TENANT}`),
    await send(fakes, "/call_1/events"),
    await send(fakes, "/call_1/nothing/here"),
  ];
  const shown = answers.map(({ status, body, headers }) => ({
    status,
    body,
    headers: [...headers].filter(([name]) => name !== "ratelimit"), // it counts the questions
  }));
  for (const answer of shown) assert.deepEqual(answer, shown[0]);
  assert.equal(shown[0]?.status, 404);
  assert.ok(!shown[0]?.body.includes(other));
});

Deno.test("REST is shut without the token", async () => {
  const fakes = setUp({ desk });
  for (const token of [null, "", "wrong", `${API_KEY}!`, API_KEY.slice(1)]) {
    for (const path of ["", `/${CALL}`, "/nothing"]) {
      const { status, headers, body } = await send(fakes, path, { token });
      assert.deepEqual([status, headers.get("www-authenticate")], [401, "Bearer"]);
      assert.equal(JSON.parse(body).code, "unauthenticated");
    }
  }
  assert.deepEqual(fakes.sent, []);
});

Deno.test("what a desk refuses is a problem, and only our own failures are logged", async () => {
  const rows = [
    [new AppError("busy", "All lines are busy"), 429, "All lines are busy", 0],
    [new AppError("not_configured", "Set it", { field: "TWILIO_AUTH_TOKEN" }), 503, "Set it", 1],
    [new AppError("provider_failed", "Twilio said +15550100"), 502, undefined, 1],
    [new AppError("unknown_outcome", "Deadline"), 504, undefined, 1],
    [new AppError("not_found", `No agent "${AGENT}"`), 404, undefined, 0],
  ] as const;
  for (const [error, status, detail, lines] of rows) {
    const fakes = setUp({
      desk: (message) => message.type === "errand" && message.reply.fail(error),
    });
    const body = { agentId: AGENT, to: "+15550100", from: "+15550199" };
    const sent = await send(fakes, "", { body });
    const problem = JSON.parse(sent.body);
    assert.deepEqual(
      [sent.status, problem.status, problem.code, problem.detail],
      [status, status, error.code, detail],
    );
    assert.equal(fakes.logged.length, lines);
  }
});

Deno.test("a bug is a 500 that tells nothing, logged once with the request's id", async () => {
  const fakes = setUp({
    desk() {
      throw new Error("A secret inside");
    },
  });
  const { status, body } = await send(fakes, `/${CALL}`);
  assert.deepEqual([status, JSON.parse(body)], [500, {
    type: "about:blank",
    title: "Internal Server Error",
    status: 500,
    code: "internal",
    requestId: "r1",
  }]);
  assert.deepEqual(fakes.logged.map(({ level, requestId }) => [level, requestId]), [
    ["error", "r1"],
  ]);
});
