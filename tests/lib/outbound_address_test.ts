/** Which URLs may be asked: 300 ways to write a private address, and none of them passes. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { destinationOf, isPublic } from "@/lib/outbound_address.ts";
import { PRIVATE_IPV4, PRIVATE_IPV6, privateForms } from "@/tests/support/private_urls.ts";

const PORT = 8443;

Deno.test("300 forms of URLs that lead to private addresses are refused by their URL alone", () => {
  const forms = privateForms(PORT);
  assert.ok(new Set(forms).size >= 300, `${new Set(forms).size} forms`);
  for (const url of forms) {
    assert.throws(() => destinationOf(url, []), { code: "invalid", field: "url" }, url);
  }
});

Deno.test("what is no web address is refused, with the reason", () => {
  const rows: [string, RegExp][] = [
    ["", /no URL/],
    ["example.com", /no URL/],
    ["ftp://example.com/", /not https/],
    ["file:///etc/passwd", /not https/],
    ["data:text/plain,x", /not https/],
    ["javascript:alert(1)", /not https/],
    ["gopher://example.com/", /not https/],
    ["http://example.com/", /not https/],
    ["https://user@example.com/", /user name/],
    ["https://:secret@example.com/", /password/],
    ["https://example.com:22/", /port/],
    ["https://example.com:25/", /port/],
    ["https://example/", /private name/],
    ["https://printer.local/", /private name/],
    ["https://db.internal/", /private name/],
    ["https://x.localhost./", /private name/],
    ["https://exa mple.com/", /space/],
    ["https://example.com/\r\nX-Injected: 1", /control/],
    ["https://example.com\\@127.0.0.1/", /backslash/],
    [`https://example.com/${"x".repeat(2_048)}`, /2048/],
  ];
  for (const [url, message] of rows) {
    assert.throws(() => destinationOf(url, []), { code: "invalid", field: "url", message }, url);
  }
});

Deno.test("an address of the internet passes, by name and by number", () => {
  for (
    const url of [
      "https://example.com/hook?x=1",
      "https://example.com:8443/",
      "https://EXAMPLE.com./",
      "https://93.184.216.34/",
      "https://[2606:4700::1111]/",
      "https://bücher.example/",
    ]
  ) assert.equal(destinationOf(url, []).isAllowed, false, url);
});

Deno.test("only the exact host and port on the list is allowed to be private", () => {
  const allow = ["127.0.0.1:9000", "hooks.internal:443"];
  assert.equal(destinationOf("http://127.0.0.1:9000/x", allow).isAllowed, true);
  assert.equal(destinationOf("https://hooks.internal/x", allow).isAllowed, true);
  for (
    const url of ["http://127.0.0.1:9001/", "https://127.0.0.2:9000/", "https://a.hooks.internal/"]
  ) assert.throws(() => destinationOf(url, allow), { code: "invalid" }, url);
});

Deno.test("no address of a private range is public, whichever it is", () => {
  for (const [first, bits] of PRIVATE_IPV4) {
    fc.assert(fc.property(fc.nat(2 ** (32 - bits) - 1), (host) => {
      const number = (first + host) >>> 0;
      const address = [24, 16, 8, 0].map((shift) => number >>> shift & 255).join(".");
      assert.equal(isPublic(address), false, address);
      assert.equal(isPublic(`::ffff:${address}`), false, `mapped ${address}`);
      assert.equal(isPublic(`64:ff9b::${address}`), false, `translated ${address}`);
    }));
  }
  for (const prefix of PRIVATE_IPV6) assert.equal(isPublic(prefix), false, prefix);
  for (const address of ["8.8.8.8", "1.1.1.1", "2606:4700::1111"]) assert.ok(isPublic(address));
  for (const text of ["", "example.com", "1.2.3", "::g"]) assert.equal(isPublic(text), false);
});
