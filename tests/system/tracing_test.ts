/** OpenTelemetry: a whole call in a process of its own, whose spans arrive at a collector of ours. */

import assert from "node:assert/strict";
import { z } from "zod";

// What is read of the JSON of OTLP/HTTP: https://opentelemetry.io/docs/specs/otlp/#otlphttp
const Nanos = z.string().transform((value) => Number(BigInt(value) / 1_000n) / 1_000); // ms
const Span = z.object({
  spanId: z.string(),
  parentSpanId: z.string(),
  traceId: z.string(),
  name: z.string(),
  startTimeUnixNano: Nanos,
  endTimeUnixNano: Nanos,
  attributes: z.array(z.object({ key: z.string(), value: z.record(z.string(), z.unknown()) })),
});
type Span = z.infer<typeof Span>;
const Traces = z.object({
  resourceSpans: z.array(z.object({
    scopeSpans: z.array(z.object({ scope: z.object({ name: z.string() }), spans: z.array(Span) })),
  })),
});

const millis = (span: Span): number => span.endTimeUnixNano - span.startTimeUnixNano;

Deno.test("a call is a trace: what each said, and what each silence before an answer was made of", async () => {
  const spans: Span[] = [];
  const collector = Deno.serve({ port: 0, onListen() {} }, async (request) => {
    const body = await request.json();
    if (!request.url.endsWith("/v1/traces")) return Response.json({});
    for (const { scopeSpans } of Traces.parse(body).resourceSpans) {
      for (const { scope, spans: of } of scopeSpans) {
        if (scope.name === "ringmaster") spans.push(...of);
      }
    }
    return Response.json({});
  });
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "-q", "call", "--say", "I would like an appointment.", "--json"],
    env: {
      OTEL_DENO: "true",
      OTEL_DENO_AUTO_INSTRUMENTATION: "none",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
    },
  }).output();
  await collector.shutdown();
  const printed = new TextDecoder().decode(stdout);
  assert.equal(code, 0, printed + new TextDecoder().decode(stderr));

  const [call, ...others] = spans.filter(({ name }) => name === "call");
  assert.ok(call !== undefined && others.length === 0, "one root");
  assert.equal(
    call.attributes.find(({ key }) => key === "ringmaster.call.id")?.value.stringValue,
    JSON.parse(printed).callId,
  );
  assert.equal(
    call.attributes.find(({ key }) => key === "ringmaster.call.outcome")?.value.stringValue,
    "answered",
  );
  assert.ok(spans.every(({ traceId }) => traceId === call.traceId));
  const under = (parent: Span): Span[] =>
    spans.filter(({ parentSpanId }) => parentSpanId === parent.spanId);
  const names = under(call).map(({ name }) => name);
  assert.deepEqual(names.filter((name) => name === "caller").length, 1);
  assert.ok(names.filter((name) => name === "agent").length >= 2, "a greeting and an answer");
  const gaps = under(call).filter(({ name }) => name === "gap");
  assert.ok(gaps.length >= 1);
  for (const gap of gaps) {
    const parts = under(gap);
    assert.ok(parts.some(({ name }) => name === "model"));
    const sum = parts.reduce((total, part) => total + millis(part), 0);
    assert.ok(Math.abs(sum - millis(gap)) < 3, `${sum} of ${millis(gap)} ms`); // whole milliseconds each
  }
  assert.ok(!JSON.stringify(spans).includes("appointment"), "nothing of what was said");
});
