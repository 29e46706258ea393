/** What limiters have decided, as Prometheus text. https://prometheus.io/docs/instrumenting/exposition_formats/ */

import { counter, gauge, type Sample } from "@/lib/prometheus.ts";
import type { BucketTally, LimiterMetrics } from "./tally.ts";

export function limiterText({ buckets, failures, isShared }: LimiterMetrics): string {
  const verdicts = buckets.flatMap((tally): Sample[] => [
    [labels(tally, "allowed"), tally.allowed],
    [labels(tally, "refused"), tally.refused],
  ]);
  return [
    counter("limits_verdicts_total", "Requests that a bucket allowed or refused.", verdicts),
    counter("limits_store_failures_total", "Times that the shared count failed.", [[{}, failures]]),
    gauge("limits_shared", "1 while limits are counted for all machines together.", [
      [{}, isShared ? 1 : 0],
    ]),
  ].join("");
}

function labels({ bucket, by }: BucketTally, verdict: "allowed" | "refused") {
  return { bucket, by, verdict };
}
