/** What limiters count of their verdicts, and how Prometheus reads it. */

import assert from "node:assert/strict";
import type { Bucket } from "@/lib/limits/limiter.ts";
import { memoryLimiter } from "@/lib/limits/memory.ts";
import { limiterText } from "@/lib/limits/metrics_text.ts";
import { manualClock } from "@/tests/support/manual_clock.ts";

const WIDE: Bucket = { name: "read", capacity: 10, perSecond: 1, isStrict: false };
const NARROW: Bucket = { name: "read-key", capacity: 2, perSecond: 1, isStrict: false };

Deno.test("a request counts at every bucket it took from, and one refused at those that refused it", async () => {
  const { takeAll, metrics } = memoryLimiter(manualClock());
  for (let n = 0; n < 5; n++) {
    await takeAll([{ bucket: NARROW, key: "a" }, { bucket: WIDE, key: "b" }]);
  }
  assert.deepEqual(metrics(), {
    buckets: [
      { bucket: "read-key", by: "local", allowed: 2, refused: 3 },
      { bucket: "read", by: "local", allowed: 2, refused: 0 },
    ],
    failures: 0,
    isShared: false,
  });
});

Deno.test("however many keys there are, a bucket has one counter", async () => {
  const { take, metrics } = memoryLimiter(manualClock());
  for (let n = 0; n < 1_000; n++) await take(WIDE, `${n}`);
  assert.deepEqual(metrics().buckets, [
    { bucket: "read", by: "local", allowed: 1_000, refused: 0 },
  ]);
});

Deno.test("limiters' counters print as Prometheus text", () => {
  const text = limiterText({
    buckets: [
      { bucket: "read", by: "shared", allowed: 7, refused: 0 },
      { bucket: "read", by: "local", allowed: 3, refused: 2 },
    ],
    failures: 4,
    isShared: false,
  });
  assert.equal(
    text,
    `# HELP limits_verdicts_total Requests that a bucket allowed or refused.
# TYPE limits_verdicts_total counter
limits_verdicts_total{bucket="read",by="shared",verdict="allowed"} 7
limits_verdicts_total{bucket="read",by="shared",verdict="refused"} 0
limits_verdicts_total{bucket="read",by="local",verdict="allowed"} 3
limits_verdicts_total{bucket="read",by="local",verdict="refused"} 2
# HELP limits_store_failures_total Times that the shared count failed.
# TYPE limits_store_failures_total counter
limits_store_failures_total 4
# HELP limits_shared 1 while limits are counted for all machines together.
# TYPE limits_shared gauge
limits_shared 0
`,
  );
});
